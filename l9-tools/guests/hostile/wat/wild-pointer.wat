;; Answers with a string that lies outside its memory.
;; A core module against the canonical ABI of the world l9:tool/tool.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  ;; ok(string at 0xffff0000, 0x7fffffff bytes long)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 4) (i32.const 0xffff0000))
    (i32.store (i32.const 8) (i32.const 0x7fffffff))
    i32.const 0)
)
