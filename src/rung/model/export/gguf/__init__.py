"""GGUF, the file format of llama.cpp: one file with weights, tokenizer and settings, written and read back.

The bytes are the `gguf` package's matter; here is what they mean: which tensor is which, how llama.cpp turns its
rotary halves, how each kind of tokenizer is told. Decoders of the Llama family (Llama, Mistral, Qwen2, Qwen3).
"""
