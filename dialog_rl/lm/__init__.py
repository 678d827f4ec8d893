"""The language model wing: tokens, the policy, and decoding. Text enters and leaves through the renderer only.

Shape suffixes: B rows or episodes, T token positions, N action tokens or any flat count of tokens, V vocabulary,
D hidden width, S slots of the decoder, H attention heads, K width of a head,
L layers, C cells of the key-value cache. Log-probs are in nats.
"""
