// A tool for L9: `greet` is plain JavaScript, `invoke` the thin shell around it.

import { log } from 'l9:tool/host@0.1.0';
import { show } from 'l9:tool/progress@0.1.0';

/** The work itself; a string that is thrown says what is wrong and what would mend it. */
export function greet({ name }) {
  const who = name.replace(/^ +| +$/g, '');
  if (who === '') throw 'name is empty: give at least one character';
  return { greeting: `Hello, ${who}.` };
}

export function invoke(call) {
  // A component may hold several tools: tell them apart by `call.tool`.
  if (call.tool !== 'my/greet') {
    throw { tag: 'invalid-input', val: `no tool named ${call.tool} in this component` };
  }
  log('info', 'somebody is greeted');
  let output;
  try {
    output = greet(JSON.parse(call.input));
  } catch (error) {
    if (typeof error !== 'string') throw error;
    throw { tag: 'invalid-input', val: error };
  }
  show('the greeting is ready');
  return JSON.stringify(output);
}
