;; Asks for two gigabytes before its first instruction.
;; A core module against the canonical ABI of the world l9:tool/tool.
(module
  (memory (export "memory") 32768)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  ;; Answers ok(""): the result lies at address 0, all zero.
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 0)
)
