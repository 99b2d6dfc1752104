import pytest
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.partition import Partition
from sourcewise.strategies import parse_strategies

NAMES = ("a", "b", "c", "d")


@given(st.integers(1, 30))
def test_extremes(K):
    assert Partition.pooled(K).sources == Partition.separate(K).sources == tuple(range(K))
    assert len(Partition.pooled(K)) == 1
    assert len(Partition.separate(K)) == K


@given(st.integers(1, 50), st.integers(0, 1000), st.integers(0, 100))
def test_parameters_interpolate_between_the_extremes(K, shared, specific):
    pooled = Partition.pooled(K).parameters(shared, specific)
    assert pooled == shared + K * specific
    assert Partition.separate(K).parameters(shared, specific) == K * (shared + specific) >= pooled


@pytest.mark.parametrize("blocks", [((0, 1), (1,)), ((0,), ()), ((-1,),)])
def test_blocks_are_disjoint_and_not_empty(blocks):
    with pytest.raises(ValueError):
        Partition(blocks)


def test_keep_drops_absent_sources_and_blocks_that_nobody_needs():
    partition = Partition(((0, 1), (2,), (3,)))
    assert partition.keep([0, 1, 2, 3]).blocks == partition.blocks
    assert partition.keep([1, 3]).blocks == ((1,), (3,))
    assert partition.keep([0, 1, 2, 3], needed=[1, 3]).blocks == ((0, 1), (3,))
    assert partition.keep([0, 2], needed=[1]).blocks == ()


def test_strategies_are_parsed(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("source,group\na,x\nb,y\nc,x\n")
    spec = f"pooled,separate,shuffled,groups:a+b|c,groups:{path}"
    parsed = parse_strategies(spec, NAMES)
    assert [s.name for s in parsed] == ["pooled", "separate", "shuffled", "groups", "groups-2"]
    assert parsed[3].partition.blocks == ((0, 1), (2,), (3,))
    assert parsed[4].partition.blocks == ((0, 2), (1,), (3,))
    assert [s.shuffled for s in parsed] == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pooled,pooled", "'pooled' is named twice"),
        ("poold", "did you mean 'pooled'"),
        ("groups:a+e", "no source 'e'"),
        ("groups:a+b|b", "'b' stands in two groups"),
        ("groups:a+|b", "an empty name"),
        ("groups:absent.csv", "cannot read absent.csv"),
    ],
)
def test_bad_strategies_are_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_strategies(text, NAMES)


@pytest.mark.parametrize("content", ["name,block\na,x\n", "", "source,group\n"])
def test_a_bad_file_of_groups_is_named(tmp_path, content):
    path = tmp_path / "groups.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"groups\.csv"):
        parse_strategies(f"groups:{path}", NAMES)
