"""`lexome.generate` with the published layouts: greedy as the references, samples in any company."""

import pytest
import torch

import lexome
from lexome.errors import InputError
from lexome.generation.low_complexity import low_complexity
from lexome.inference.model import Model
from tests.checkpoints.decoders import read_decoder
from tests.toys import write_esm2

NAMES = ("gpt2-tiny", "progen2-tiny", "progen2-official-tiny", "evo1-8k-tiny")
NAMES += ("evo1-131k-tiny", "hyenadna-hf-tiny", "hyenadna-orig-tiny")


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def fixture(name):
    return read_decoder(name)


@pytest.fixture(scope="module")
def model(fixture) -> Model:
    return lexome.load(str(fixture.path), device="cpu")


@pytest.fixture(scope="module")
def progen() -> Model:
    return lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")


@pytest.fixture(scope="module")
def protgpt() -> Model:
    return lexome.load(str(read_decoder("gpt2-tiny").path), device="cpu")


def test_greedy_continuations_are_the_references(fixture, model):
    cases = [k.removesuffix(".prompt_ids") for k in fixture.tensors if k.endswith(".prompt_ids")]
    assert cases
    for case in cases:
        prompts = torch.atleast_2d(fixture.tensors[f"{case}.prompt_ids"]).tolist()
        expected = torch.atleast_2d(fixture.tensors[f"{case}.new_ids"]).tolist()
        assert model.continue_ids(prompts, len(expected[0])) == expected


def test_a_sample_is_the_same_in_any_company(model):
    prompts = [("a", "AC"), ("b", "GATTACAGATTACAGATTACAG"), ("c", "T"), ("d", "GATC" * 7)]
    prompts += [("e", "GACTACAGACTACAGACTACAG")]  # as long as another: they are read together
    most = 12 if model.card.family == "hyena" else 70  # that one begins anew for every token
    settings = {"seed": 5, "max_new": most, "temperature": 0.8, "top_p": 0.95}
    whole = lexome.generate(model, prompts, n=5, **settings)
    assert len(whole) == 25
    for max_rows in (2, 3, 7):
        assert lexome.generate(model, prompts, n=5, max_rows=max_rows, **settings) == whole
    backwards = lexome.generate(model, prompts[::-1], n=5, **settings)
    assert sorted(backwards, key=lambda s: s.id) == whole
    for place in (0, 7, 19, 24):
        prompt = prompts[place // 5]
        few = lexome.generate(model, [prompt], n=place % 5 + 1, **settings)
        assert few[-1] == whole[place]  # to the bit, likelihood of each token included


def test_the_likelihood_is_that_of_a_pass_over_the_whole(model):
    for sample in lexome.generate(model, "ACT", n=4, seed=2, max_new=40, top_k=5):
        ids = [*sample.prompt_ids, *sample.ids]
        logits = torch.from_numpy(model.run_ids([ids])[0].logits)
        log_p = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(ids)[1:, None])[:, 0]
        expected = log_p[len(sample.prompt_ids) - 1 :]
        assert sample.token_log_likelihoods == pytest.approx(expected.tolist(), abs=3e-4)
        assert sample.log_likelihood == pytest.approx(float(expected.sum()), abs=1e-3)


def test_only_residues_come_and_a_terminal_ends(progen):
    samples = lexome.generate(progen, "", n=60, seed=1, max_new=40)
    letters = set("ABCDEFGHIKLMNOPQRSTUVWXYZ")
    assert {s.stop_reason for s in samples} == {"stop_token", "max_new"}
    for sample in samples:
        assert set(sample.sequence) <= letters
        assert sample.prompt_ids == [3]  # the terminal `1`
        ended = sample.ids[-1] in (2, 3, 4)
        assert ended == (sample.stop_reason == "stop_token")
        assert len(sample.sequence) == len(sample.ids) - ended
    standard = lexome.generate(progen, "", n=60, seed=1, max_new=40, letters="standard")
    assert {c for s in samples for c in s.sequence} > {c for s in standard for c in s.sequence}
    assert not {c for s in standard for c in s.sequence} & set("BOUXZ")


def test_a_sequence_made_from_its_end_stands_in_the_usual_direction(progen):
    sample = lexome.generate(progen, "MKT", tag="c-to-n", seed=3, max_new=20)[0]
    assert sample.prompt_ids == progen.tokenizer.encode("2TKM")
    assert sample.sequence.endswith("MKT")
    spelled = lexome.generate(progen, "2TKM", seed=3, max_new=20)[0]
    assert spelled == sample
    forward = lexome.generate(progen, "1MKT", seed=3, max_new=20)[0]
    assert forward == lexome.generate(progen, "MKT", seed=3, max_new=20)[0]
    assert forward.sequence.startswith("MKT")


def test_protgpt2s_lines_are_layout_and_no_residues(protgpt):
    prompt = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPD"
    sample = lexome.generate(protgpt, prompt, seed=1, max_new=30)[0]
    written = f"<|endoftext|>\n{prompt[:60]}\n{prompt[60:]}"
    assert sample.prompt_ids == protgpt.tokenizer.encode(written)
    assert sample.sequence.startswith(prompt)
    assert sample.sequence.isalpha()


def test_the_context_ends_a_sequence_and_says_so(protgpt):
    prompt = "W" * 600
    tokens = len(lexome.generate(protgpt, prompt, max_new=1)[0].prompt_ids)
    sample = lexome.generate(protgpt, prompt, max_new=10_000, temperature=0, stop=[])[0]
    assert sample.stop_reason in ("context", "stop_token")
    assert len(sample.ids) <= 640 - tokens


def test_the_best_of_many_are_those_of_the_highest_mean_likelihood(progen):
    many = lexome.generate(progen, "MK", n=12, seed=4, max_new=15)
    best = lexome.generate(progen, "MK", n=12, seed=4, max_new=15, best=3)
    assert best == sorted(many, key=lambda s: -s.mean_log_likelihood)[:3]


def test_beams_come_most_likely_first_and_one_beam_is_greedy(progen):
    found = lexome.generate(progen, "MKT", n=4, beams=6, max_new=12)
    likelihoods = [s.log_likelihood for s in found]
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert len({s.sequence for s in found}) == 4
    one = lexome.generate(progen, "MKT", beams=1, max_new=12)[0]
    greedy = lexome.generate(progen, "MKT", temperature=0, max_new=12)[0]
    assert one.ids == greedy.ids


WRONG = [
    ({"prompt": "MKJ"}, "the letter 'J' at position 3"),
    ({"prompt": "MK T"}, "the letter ' ' at position 3"),
    ({"prompt": "mkt"}, "capitals without spaces"),
    ({"prompt": "1MKT2"}, "the letter '2' at position 4"),
    ({"prompt": "M" * 700}, "fewer than the model's context of 640"),
    ({"prompt": []}, "saw none"),
    ({"prompt": [("a", "M"), ("a", "K")]}, "the name 'a' twice"),
    ({"n": 0}, "saw 0"),
    ({"n": 2.5}, "saw 2.5"),
    ({"temperature": -1}, "saw -1"),
    ({"temperature": float("nan")}, "saw nan"),
    ({"top_p": 0}, "saw 0"),
    ({"top_k": -3}, "saw -3"),
    ({"min_p": 1.5}, "saw 1.5"),
    ({"max_new": 0}, "saw 0"),
    ({"seed": -1}, "saw -1"),
    ({"n": 5, "beams": 2}, "at most the 2 beams"),
    ({"n": 2, "best": 3}, "saw 3"),
    ({"order": "random"}, "saw 'random'"),
    ({"letters": "all"}, "saw 'all'"),
    ({"tag": "up"}, "no tag of ProGen2"),
    ({"tag": "n-to-c=3"}, "the value '3'"),
    ({"prompt": "1MK", "tag": "c-to-n"}, "the terminal '1' and the tag 'c-to-n'"),
    ({"stop": ["?"]}, "no such token"),
    ({"forbid": ["?"]}, "no such token"),
    ({"only": ["A"], "forbid": ["A"]}, "no token that may be drawn"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_what_cannot_be_done_is_said_before_the_work(settings, words, progen):
    with pytest.raises(InputError) as problem:
        lexome.generate(progen, **settings)
    assert words in str(problem.value)


def test_evo_goes_on_from_a_prompt_alone_and_begins_at_the_end_of_a_document():
    model = lexome.load(str(read_decoder("evo1-8k-tiny").path), device="cpu")
    prompted, begun = (lexome.generate(model, p, n=2, max_new=30) for p in ("ACGT", ""))
    assert prompted[0].prompt_ids == [65, 67, 71, 84]
    assert begun[0].prompt_ids == [0]
    assert {c for s in [*prompted, *begun] for c in s.sequence} <= set("ACGTN")
    with pytest.raises(InputError, match="leaving it out"):
        lexome.generate(model, "ACGT", tag="n-to-c")


def test_hyenadna_has_nothing_to_begin_from():
    model = lexome.load(str(read_decoder("hyenadna-hf-tiny").path), device="cpu")
    with pytest.raises(InputError, match="saw an empty prompt"):
        lexome.generate(model, "")


def test_an_encoder_does_not_go_on(tmp_path):
    encoder = lexome.load(str(write_esm2(tmp_path / "esm2")), device="cpu")
    with pytest.raises(InputError, match="an encoder, which sees both sides"):
        lexome.generate(encoder, "MKT")
    with pytest.raises(InputError, match="an encoder, which sees both sides"):
        encoder.continue_ids([[1]])


def test_only_and_forbidden_tokens(progen):
    made = lexome.generate(progen, "", n=40, only=["A", "C"], max_new=20)
    assert {c for s in made for c in s.sequence} == {"A", "C"}
    made = lexome.generate(progen, "", n=10, forbid=["A", "1", "<|eos|>"], max_new=20)
    assert "A" not in {c for s in made for c in s.sequence}


def test_low_complexity_by_hand():
    assert low_complexity("A" * 30, False) == 1.0
    assert low_complexity("ACDEFGHIKLMN" + "A" * 12, False) == pytest.approx(
        17 / 24
    )  # from the first window that holds 7 of 12 A on
    assert low_complexity("ACDEFGHIKLMNPQRSTVWY", False) == 0.0
    assert low_complexity("A" * 80, True) == 1.0
    assert low_complexity("ACGT", True) == 0.0
    assert low_complexity("M", False) == 0.0
