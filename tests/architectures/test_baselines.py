"""The networks that pretrained models must beat: sizes as published, what they see, no company."""

import pytest
import torch
from torch import nn

from lexome.architectures.deepstarr import DeepStarr, DeepStarrConfig
from lexome.architectures.families import new_model
from lexome.architectures.predictor import POOLS, HeadConfig, Predictor, make_pool
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.layers.layout import PackedLayout
from lexome.layers.one_hot import OneHot
from lexome.layers.summary import QueryPool
from lexome.sequence.alphabet import AMINO_ACIDS
from lexome.tokenizers.kinds import letter_tokenizer

DNA = letter_tokenizer("dna")
SEQUENCES = ["ACGTNACGT", "A", "ACGGT" * 31]
ROWS = [DNA.encode(sequence) for sequence in SEQUENCES]
BASELINES = ("bpnet", "deepstarr", "spliceai-80", "spliceai-400", "rnn", "lstm", "gru")


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("spelling", "parameters"),
    [
        # 25 x 4 x 64 + 64, and nine of 3 x 64 x 64 + 64; with the published profile head
        # (25 x 64 x 2 + 2) and counts head (64 x 2 + 2) 120,964
        ("new:bpnet", 117_632),
        ("new:bpnet-28m", 25 * 4 * 1024 + 1024 + 9 * (3 * 1024 * 1024 + 1024)),
    ],
)
def test_bpnet_is_as_large_as_published(spelling, parameters):
    assert size(new_model(spelling, "dna")[1]) == parameters


@pytest.mark.parametrize("pooling", POOLS)
@pytest.mark.parametrize("name", BASELINES)
def test_a_sequence_is_answered_alike_in_any_company(name, pooling):
    torch.manual_seed(0)
    _, backbone = new_model(f"new:{name}", "dna")
    network = Predictor(backbone, HeadConfig(num_outputs=2, pooling=pooling)).eval()
    with torch.inference_mode():
        packed, padded = network(*pack(ROWS)), network(*pad(ROWS, pad_id=1))
        alone = torch.cat([network(*pack([ids])) for ids in ROWS])
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "reach"), [("spliceai-80", 40), ("spliceai-400", 200)])
def test_a_spliceai_sees_as_far_as_its_name_says(name, reach):
    torch.manual_seed(0)
    network = new_model(f"new:{name}", "dna")[1].double().eval()
    plain = torch.tensor(DNA.encode("A" * 900))
    changed = plain.clone()
    changed[450] = DNA.id_of["C"]
    with torch.inference_mode():
        layout = PackedLayout([len(plain)])
        moved = (network(plain, layout) != network(changed, layout)).any(-1)
    seen = torch.nonzero(moved)[:, 0].tolist()
    assert (min(seen), max(seen)) == (450 - reach, 450 + reach)


def test_one_hot_leaves_n_and_special_tokens_without_a_letter():
    letters = OneHot(10, 5, 4)(torch.tensor(DNA.encode("ACGTN")))
    expected = torch.zeros(7, 4)
    expected[1:5] = torch.eye(4)
    assert torch.equal(letters, expected)


@pytest.mark.parametrize(
    ("alphabet", "letters", "others"),
    [("protein", AMINO_ACIDS, "XBUZO.-"), ("dna", "ACGT", "N"), ("rna", "ACGU", "N")],
)
def test_a_new_network_has_a_channel_for_each_letter_of_its_alphabet(alphabet, letters, others):
    one_hot = new_model("new:bpnet", alphabet)[1].letters
    ids = letter_tokenizer(alphabet).encode(letters + others)
    seen = one_hot(torch.tensor(ids))[1:-1]
    own = seen[: len(letters)]
    assert own.shape[1] == len(letters)
    assert (own.sum(0) == 1).all()
    assert (own.sum(1) == 1).all()
    assert not seen[len(letters) :].any()


def test_deepstarr_pools_pairs_of_real_positions_only():
    torch.manual_seed(0)
    network = DeepStarr(DeepStarrConfig()).eval()
    with torch.inference_mode():
        hidden, rows = network.shorten(*pack(ROWS))
    assert rows.lengths == [-(-len(ids) // 16) for ids in ROWS]
    assert not hidden[~rows.real_N].any()


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_recurrent_networks_read_each_sequence_from_both_of_its_ends(name):
    torch.manual_seed(0)
    network = new_model(f"new:{name}", "dna")[1].eval()
    with torch.inference_mode():
        found = pack(ROWS).layout.split(network(*pack(ROWS)))
        for ids, hidden in zip(ROWS, found, strict=True):
            plain = network.cells(network.embedding(torch.tensor(ids))[None])[0][0]
            torch.testing.assert_close(hidden, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("additive", [True, False])
def test_attention_with_a_query_is_the_plain_formula(additive):
    torch.manual_seed(0)
    pool, x_TD = QueryPool(6, additive), torch.randn(9, 6)
    found_SD = pool(x_TD, PackedLayout([5, 4]))
    for row, x_LD in enumerate(x_TD.split([5, 4])):
        query_D = torch.cat([x_LD[-1, :3], x_LD[0, 3:]])
        if additive:
            hidden_LD = torch.tanh(x_LD @ pool.key.weight.T + pool.query(query_D))
            scores_L = hidden_LD @ pool.score.weight[0]
        else:
            scores_L = (x_LD @ pool.key.weight.T) @ query_D
        context_D = scores_L.softmax(0) @ x_LD
        torch.testing.assert_close(found_SD[row], torch.cat([context_D, query_D]))


def test_a_pool_of_means_is_the_mean():
    x_TD = torch.randn(5, 3)
    found = make_pool("mean", 3, 4)(x_TD, PackedLayout([2, 3]))
    torch.testing.assert_close(found, torch.stack([x_TD[:2].mean(0), x_TD[2:].mean(0)]))
