"""Short texts in the encodings that files come in: the guess reads them back as they were."""

import pytest

from sourcewise.errors import InputError
from sourcewise.readers.guess import likely
from sourcewise.readers.read import read

WESTERN = [
    "Köln;75,1\nMünchen;80\n",
    "thé là\nmère pêche\n",
    "señor año mañana ¿Qué?\n",
    "name;city\nJosé;Málaga\nAndré;Orléans\n",
    "Größe, Straße\n",
    "Søren Kierkegård, Århus\n",
]
SIGNS = ["“quoted” – it’s 5 €\n", "Temp °C;Fläche m²\n", "»Wort« … naïve\n"]
CENTRAL = [
    "Łódź;12\nKraków;13\nGdańsk;14\n",
    "Příliš žluťoučký kůň úpěl ďábelské ódy\n",
    "name;miasto\nŻółć;Wrocław\nŚwięty;Poznań\n",
    "Česká republika\nBrno\nPlzeň\nŽilina\n",
    "árvíztűrő tükörfúrógép\n",
]
RUSSIAN = [
    "Москва;12\nСанкт-Петербург;13\n",
    "имя,возраст\nИван,34\nОльга,28\n",
    "привет мир\nкак дела\n",
    "город;температура\nМосква;12,5\nКазань;10,1\n",
]
JAPANESE = ["これはテストです。\n日本語の文章\n"]
TEXTS = {
    "cp1252": [*WESTERN, *SIGNS],
    "mac_roman": WESTERN[:5],
    "cp850": [WESTERN[0], WESTERN[4]],
    "cp1250": CENTRAL,
    "iso8859-2": CENTRAL,
    "cp1251": [*RUSSIAN, "Київ\nЛьвів\n"],
    "koi8-r": RUSSIAN,
    "cp866": RUSSIAN,
    "cp1254": ["Türkiye'nin başkenti Ankara'dır\nİstanbul; güneş doğdu\n"],
    "cp1253": ["Αθήνα;12\nΘεσσαλονίκη;13\n", "καλημέρα κόσμε\n"],
    "shift_jis": [
        "東京;12\n大阪;13\n",
        "名前,年齢\n山田太郎,34\n",
        "これはテストです。\n日本語の文章\n",
    ],
    "euc_jp": JAPANESE,
    "gb18030": [
        "北京;12\n上海;13\n",
        "姓名,年龄\n张三,34\n李四,28\n",
        "你好，世界\n这是一个测试\n",
    ],
    "big5": ["臺北;12\n高雄;13\n", "姓名,年齡\n張三,34\n李四,28\n", "你好，世界\n這是一個測試\n"],
    "euc_kr": ["서울;12\n부산;13\n", "이름,나이\n김철수,34\n", "안녕하세요 세계\n테스트입니다\n"],
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("times", [1, 2000])  # the longer ones are cut somewhere
def test_short_texts_are_read_back(name, times):
    for text in TEXTS[name]:
        raw = (text * times).encode(name)
        assert raw.decode(likely(raw)) == text * times, (text, likely(raw))


def test_others_are_left_to_statistics():
    arabic = "مرحبا بالعالم. هذه جملة قصيرة باللغة العربية لاختبار ترميز الملف. " * 4
    raw = arabic.encode("cp1256")
    assert raw.decode(likely(raw)) == arabic


def test_plain_bytes_tell_no_encoding():
    assert likely(b"abc,def\n" * 1000) == ""


def test_the_guess_is_by_what_is_wrong(tmp_path):
    """Where it comes after all that is looked at from the beginning."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"source,x\n" + b"a,some words\n" * 30_000 + "b,Größe\n".encode("cp1252"))
    with pytest.raises(InputError, match="line 30002: .*--encoding cp1252"):
        read(path)
