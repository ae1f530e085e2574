"""GPT-2's layout and ProGen2 against what their references computed, read whole and read on."""

import numpy as np
import pytest
import torch

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.errors import InputError
from lexome.inference.model import load
from tests.checkpoints.decoders import read_decoder, read_on

NAMES = ("gpt2-tiny", "progen2-tiny", "progen2-official-tiny")
ATOL = 1e-4  # README-decoders.md, "How exact"


def check(found, expected):
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=ATOL, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_the_published_ones(name):
    fixture = read_decoder(name)
    tokenizer = load_path(fixture.path).tokenizer
    for number, text in enumerate(fixture.texts):
        ids = fixture.ids(number)
        assert tokenizer.encode(text, "reference")[: len(ids)] == ids
        assert list(tokenizer.encode_many([text], "reference").ids_T)[: len(ids)] == ids
    for case in fixture.facts["tokenizer_cases"]:
        assert tokenizer.encode(case["text"], "reference") == case["ids"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fast", [False, True])
def test_whole_sequences_agree(name, fast):
    fixture = read_decoder(name)
    loaded = load(str(fixture.path), device="cpu") if fast else load_path(fixture.path)
    network, compared = loaded.network, 0
    for number in range(len(fixture.texts)):
        expected = {
            key.removeprefix(f"input{number}."): value
            for key, value in fixture.tensors.items()
            if key.startswith(f"input{number}.")
        }
        tokens_T, layout = pack([expected["ids"].tolist()])
        with torch.inference_mode():
            out = network.trace(tokens_T, layout)
            logits_TV = network.logits(out.hidden_ND)
        check(logits_TV[expected["logit_positions"].long()], expected["logits"])
        own = logits_TV[:-1].log_softmax(-1).gather(1, tokens_T[1:, None])[:, 0]
        check(own, expected["token_logprobs"])
        for layer, hidden in enumerate(out.layers):
            if f"hidden{layer}" in expected:
                check(hidden, expected[f"hidden{layer}"])
                compared += 1
    assert compared >= len(out.layers)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fast", [False, True])
def test_packed_padded_and_alone_agree(name, fast):
    fixture = read_decoder(name)
    loaded = load(str(fixture.path), device="cpu") if fast else load_path(fixture.path)
    network = loaded.network
    texts = [fixture.ids(number)[:100] for number in range(len(fixture.texts))]
    packed, padded = pack(texts), pad(texts, 0, "cpu")
    with torch.inference_mode():
        together = packed.layout.split(network(packed.tokens_T, packed.layout))
        filled = padded.layout.split(network(padded.tokens_SL, padded.layout))
        for ids, a, b in zip(texts, together, filled, strict=True):
            tokens_T, layout = pack([ids])
            alone = network(tokens_T, layout)
            torch.testing.assert_close(a, alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(b, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fast", [False, True])
def test_reading_on_agrees_with_the_reference_step_by_step(name, fast):
    fixture = read_decoder(name)
    loaded = load(str(fixture.path), device="cpu") if fast else load_path(fixture.path)
    facts, tensors = fixture.facts["recurrent"], fixture.tensors
    ids, prompt = fixture.ids(facts["input"]), facts["prefill_len"]
    steps = tensors["recurrent.step_logits"]
    whole = ids[: prompt + len(steps)]
    logits = read_on(loaded.network, whole, list(range(prompt, len(whole))))
    check(logits[prompt - 1], tensors["recurrent.prefill_last_logits"])
    check(logits[prompt:], steps)


@pytest.mark.parametrize("name", NAMES[1:])
def test_keys_and_values_are_the_published_ones(name):
    fixture = read_decoder(name)
    network, prompt = load_path(fixture.path).network, fixture.facts["recurrent"]["prefill_len"]
    state = network.start(1, 64)
    with torch.inference_mode():
        ids = fixture.ids(fixture.facts["recurrent"]["input"])
        network.extend(torch.tensor([ids[:prompt]]), state)
    for ours, theirs in (("keys", "key"), ("values", "value")):
        found_CHd = state.layers[0][ours][0, :prompt]
        check(
            found_CHd.transpose(0, 1), fixture.tensors[f"recurrent.layer0_{theirs}_after_prefill"]
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fast", [False, True])
def test_any_partition_reads_the_same(name, fast):
    fixture = read_decoder(name)
    network = (load(str(fixture.path), device="cpu") if fast else load_path(fixture.path)).network
    ids = max((fixture.ids(i) for i in range(len(fixture.texts))), key=len)
    tokens_T, layout = pack([ids])
    with torch.inference_mode():
        whole = network.logits(network(tokens_T, layout))
    generator = np.random.default_rng(0)
    partitions = [sorted(generator.choice(range(1, len(ids)), 5, replace=False)) for _ in range(6)]
    for cuts in [[], [1], [len(ids) - 1], list(range(1, 40)), *partitions]:
        torch.testing.assert_close(read_on(network, ids, cuts), whole, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_rows_are_the_same_to_the_bit_whatever_their_neighbours(name, dtype):
    """Of any number of neighbours, from two rows on in fp32; of any length and content."""
    fixture = read_decoder(name)
    network = load(str(fixture.path), dtype=dtype, device="cpu").network
    size, ids = network.config.vocabulary_size, fixture.ids(1)[:30]
    generator = torch.Generator().manual_seed(0)

    def steps(rows, row, others):
        state = network.start(rows, 128)
        for i in range(rows):
            one = network.start(1, 128)
            own = ids if i == row else others[i]
            network.extend(torch.tensor([own]), one)
            state.put(i, one)
        found = []
        for step in range(6):
            tokens_B1 = torch.randint(5, size, (rows, 1), generator=generator)
            tokens_B1[row] = 7 + step
            found.append(network.logits(network.extend(tokens_B1, state))[row, 0])
        return torch.stack(found)

    with torch.inference_mode():
        base = steps(2, 0, [None, [5]])
        for rows, row in ((2, 1), (3, 0), (8, 7), (8, 2), (16, 3), (33, 30)):
            lengths = torch.randint(1, 100, (rows,), generator=generator).tolist()
            others = [torch.randint(5, size, (n,), generator=generator).tolist() for n in lengths]
            assert torch.equal(steps(rows, row, others), base), (rows, row)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_the_published_one(name):
    fixture = read_decoder(name)
    network = load(str(fixture.path), device="cpu").network
    compared = 0
    for one in fixture.facts["greedy"]:
        prompts = fixture.tensors[f"greedy.{one['name']}.prompt_ids"].tolist()
        expected = fixture.tensors[f"greedy.{one['name']}.new_ids"].tolist()
        for prompt, new in zip(prompts, expected, strict=True):
            state, found = network.start(1, len(prompt) + len(new)), []
            tokens_BT = torch.tensor([prompt])
            with torch.inference_mode():
                while len(found) < len(new):
                    scores = network.logits(network.extend(tokens_BT, state))[0, -1]
                    found.append(int(scores.argmax()))
                    tokens_BT = torch.tensor([[found[-1]]])
            assert found == new
            compared += 1
    assert compared >= 4


def test_a_state_is_full_at_its_capacity():
    network = load_path(read_decoder("progen2-tiny").path).network
    state = network.start(1, 4)
    with pytest.raises(ValueError, match="5 tokens exceed the capacity of 4"):
        network.extend(torch.tensor([[3, 5, 6, 7, 8]]), state)


def test_letters_without_a_token_are_refused_and_dropped_only_by_the_reference():
    tokenizer = load_path(read_decoder("progen2-tiny").path).tokenizer
    with pytest.raises(InputError, match="position 3"):
        tokenizer.encode("1MJK2")
    assert tokenizer.encode("1MJK2", "map") == tokenizer.encode("1MXK2")
    assert tokenizer.encode("1MJK2", "reference") == tokenizer.encode("1MK2")
    assert tokenizer.spans("1MK2") == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert tokenizer.decode(tokenizer.encode("1MK2")) == "1MK2"
