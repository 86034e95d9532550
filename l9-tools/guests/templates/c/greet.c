// A tool for L9: `greet` is plain C, `exports_full_invoke` the thin shell around it.

#include <stdlib.h>
#include <string.h>

#include "full.h"

// A text of the host's, to look at and not to free.
static full_string_t text(const char *words) {
    full_string_t string;
    full_string_set(&string, words);
    return string;
}

// All of these after one another, as a text that the bindings free.
static full_string_t joined(size_t count, const full_string_t *parts) {
    full_string_t whole = {NULL, 0};
    for (size_t at = 0; at < count; at++) whole.len += parts[at].len;
    whole.ptr = malloc(whole.len);
    uint8_t *end = whole.ptr;
    for (size_t at = 0; at < count; at++) {
        memcpy(end, parts[at].ptr, parts[at].len);
        end += parts[at].len;
    }
    return whole;
}

// The text of the only member of an object in canonical JSON (RFC 8785), which the host has held
// to the manifest's input_schema: `{"name":"…"}`. It stays escaped, as JSON wants it.
static full_string_t member(full_string_t json, const char *before) {
    size_t length = strlen(before);
    return (full_string_t){json.ptr + length, json.len - length - strlen("\"}")};
}

// The work itself; false with a sentence that says what is wrong and what would mend it.
static bool greet(full_string_t name, full_string_t *ret, full_string_t *err) {
    while (name.len > 0 && name.ptr[0] == ' ') name = (full_string_t){name.ptr + 1, name.len - 1};
    while (name.len > 0 && name.ptr[name.len - 1] == ' ') name.len--;
    if (name.len == 0) {
        *err = joined(1, (full_string_t[]){text("name is empty: give at least one character")});
        return false;
    }
    *ret = joined(3, (full_string_t[]){text("{\"greeting\":\"Hello, "), name, text(".\"}")});
    return true;
}

bool exports_full_invoke(full_call_t *call, full_string_t *ret, full_fault_t *err) {
    // A component may hold several tools: tell them apart by `call->tool`.
    full_string_t mine = text("my/greet");
    if (call->tool.len != mine.len || memcmp(call->tool.ptr, mine.ptr, mine.len) != 0) {
        err->tag = L9_TOOL_TYPES_FAULT_INVALID_INPUT;
        err->val.invalid_input =
            joined(3, (full_string_t[]){text("no tool named "), call->tool, text(" in this component")});
        return false;
    }
    full_string_t line = text("somebody is greeted");
    l9_tool_host_log(L9_TOOL_TYPES_LEVEL_INFO, &line);
    full_string_t why;
    if (!greet(member(call->input, "{\"name\":\""), ret, &why)) {
        err->tag = L9_TOOL_TYPES_FAULT_INVALID_INPUT;
        err->val.invalid_input = why;
        return false;
    }
    full_string_t ready = text("the greeting is ready");
    l9_tool_progress_show(&ready);
    return true;
}
