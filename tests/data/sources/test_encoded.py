import base64
import html
import json
import quopri
import random
import urllib.parse

import pytest

from data.sources.encoded import doubt_about, encoding_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r'"a\n\"b\""', "a JSON string, in quotes and with escapes"),
        ('"a" \n', "a JSON string, in quotes and with escapes"),
        (r"b'it is \xe2\x80\x99'", "bytes as Python prints them (b'…')"),
        (r"""b"it's" """.strip(), "bytes as Python prints them (b'…')"),
        ('{"body": "a", "id": 1}', "a JSON record"),
        ('{"text": "a"}', None),  # the field is called otherwise: JSON may be meant
        ('{"body": "a"', None),
        ('"To be", he said, "or not."', None),
        ('"To be,\nor not."', None),
        ("b's and c's", None),
        (repr(["one paragraph", "it's another"]), "a list of texts, in brackets and quotes"),
        (json.dumps(["one paragraph", 'a "second"']) + "\n", "a list of texts, in brackets and quotes"),
        (repr({"body": "it's", "id": 1}), "a JSON record"),
        (r"['\d and \w']", "a list of texts, in brackets and quotes"),  # and no warning of Python's
        ("['a' and 'b']", None),
        ("[1, 2]", None),
        ("[]", None),
        ("['" + "a" * 1_000_000 + "']", None),
        ("[" * 100_000 + "]", None),
        ('"He said ""to be"", and went."', 'a field of CSV, in quotes that are doubled within ("")'),
        ('"He said ""to be" and went."', None),
        ("b'", None),
        ("{x | x is odd}", None),
        ("", None),
        ("text", None),
    ],
)
def test_what_is_an_encoding_of_text(text: str, kind: str | None) -> None:
    assert encoding_of(text, "metadata.body") == kind


PROSE = "The court’s decision of 5 May is final. " * 12
PAGE = "".join(f"<p>{PROSE}</p>" for _ in range(3))


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("one<|endoftext|>two", "have <|endoftext|>"),
        ("<!DOCTYPE html>\n<html>a</html>\n", "are HTML"),
        ("\n  <p class='x'>a</p>", "are HTML"),
        ("<p>is how a paragraph begins", None),
        ("<pre>a</pre>", None),
        ("a < b", None),
        (r"{\rtf1\ansi\deff0 The decision is final.}", "are RTF"),
        (r" {\rtf1\ansi The decision is final.}", "are RTF"),
        (f"id\ttext\tdate\n1\t{PROSE}\t2019-01-01\n", "are tables"),
        (f'"id","Text"\r\n1,"{PROSE}"\r\n', "are tables"),
        (f"Images, text, sound\n{PROSE}", "are tables"),  # it may be
        (f"Text of the decision, with its reasons, as they were read out on 5 May 2019\n{PROSE}", None),
        ("date,text\n", None),
        (f"From a@b.org Tue Jan  1 10:00:00 2019\nSubject: x\n\n{PROSE}\n\n" * 3, "are mailboxes"),
        (f"From the Board, 10:00 on 5 May 2019\n{PROSE}", None),
        ("%PDF-1.4\n1 0 obj", "are PDF or PostScript"),
        (r"{\rm a}", None),
        (html.escape(PAGE), "have escaped tags"),
        (PROSE + "&lt;A href=x&gt;", "have escaped tags"),
        ("x &lt; 5 and 6", None),
        ("x &lt; 5 and &lt;pre&gt;", "have entities"),
        ("AT&amp;T&nbsp;&#8217;", "have entities"),
        ("AT&T & R&D; ?a=1&b=2&c=3;", None),
        (f'<?xml version="1.0"?>\n<nitf><body><p>{PROSE}</p></body></nitf>', "have tags of HTML or XML"),
        (f"<hl7:text>{PROSE}</hl7:text>" * 3, "have tags of HTML or XML"),
        (f"Item 1.<br/>{PROSE}<BR>{PROSE}<b>x</b>", "have tags of HTML or XML"),
        ("a </b> and </i>, or x </ y </ z </", None),
        (json.dumps({"other": PROSE}), "are JSON"),
        (json.dumps([{"other": PROSE}]), "are JSON"),
        (repr({"other": PROSE}), "are JSON"),
        (r"it\u2019s \u201cso\u201d", "have escapes in place of characters"),
        (r"\underline{a} \updownarrow \upsilon \usepackage", None),
        (urllib.parse.quote(PROSE), "are encoded as in addresses"),
        (urllib.parse.quote_plus(PROSE), "are encoded as in addresses"),
        (f"https://a.org/x%20y%2Cz%20 {PROSE}", None),
        (json.dumps(PROSE.replace(". ", ".\n"))[1:-1], "have \\n in place of newlines"),
        (r"one\n two\n three\n" + "\n", "have \\n in place of newlines"),
        (r"one\n two\n three\n" + "\nfour", None),  # code, perhaps
        (r"one\n two\n three", None),
        (r"$\nabla u + \nu \neq 0 \not\in S$", None),
        (quopri.encodestring(PROSE.encode()).decode(), "are quoted-printable"),
        (quopri.encodestring(PROSE.encode()).decode().replace("\n", "\r\n"), "are quoted-printable"),
        ("width=\n100, height=20", None),
        (base64.b64encode(PROSE.encode()).decode(), "have words above 200 characters"),
        (f"{PROSE} {base64.b64encode(PROSE.encode()[:151]).decode()} {PROSE}", "have words above 200 characters"),
        (f"{PROSE} {base64.b64encode(PROSE.encode()[:149]).decode()} {PROSE}", None),
        (
            f"From: a@b.org\n\n{base64.encodebytes(PROSE.encode()).decode()}",
            "have words above 200 characters, or lines",
        ),
        (
            f"--x\r\n\r\n{base64.encodebytes(PROSE.encode()).decode()}".replace("\n", "\r\n"),
            "have words above 200 characters, or lines",
        ),
        (">sequence\n" + ("ACGT" * 15 + "\n") * 9, None),
        (PROSE.replace("f", "(cid:73)"), "have (cid:…) in place of characters"),
        (PROSE.replace("f", "\uf066"), "have characters of private use"),
        (f"\uf0b7 {PROSE}\n\uf0b7 {PROSE}", None),
        (f"<ce:para xmlns:ce='x'>{PROSE}</ce:para>", "have tags of HTML or XML"),
        (f"<?xml version='1.0'?>\n<text>{PROSE}</text>", "have tags of HTML or XML"),
        (f"<b>Held.</b> {PROSE}", None),
        (r"Gr<U+00F6><U+00DF>e <U+2019>s", "have escapes in place of characters"),
        (r"Gr\xc3\xb6\xc3\x9fe", "have escapes in place of characters"),
        ("one_x000D_\ntwo_x000D_\nthree_x000D_\n", "have escapes in place of characters"),
        (r"\x41\x42\x43 max_x1000_y", None),
        (f"[CLS] {PROSE} [SEP]", "have marks of a tokenizer"),
        (f"{PROSE}</s>\n", "have marks of a tokenizer"),
        (f"<|im_start|>user\n{PROSE}<|im_end|>", "have marks of a tokenizer"),
        (PROSE.replace(" ", " Ġ"), "have a tokenizer's marks before words"),
        ("the con ##sider ##ation ##s", "have a tokenizer's marks before words"),
        ("one ## two ## three ## four, [section] and <s>struck</s> out", None),
        (f"MSH|^~\\&|LAB|\rOBX|1|TX|||{PROSE}", "are messages of HL7"),
        (f"ISA*00*          *00*~ST*850*0001~N1*BY*{PROSE}~", "are messages of HL7, X12"),
        ("UNA:+.? 'UNB+UNOA:1+SENDER'UNH+1+INVOIC'", "are messages of HL7, X12"),
        ("{1:F01BANKBEBBAXXX0000000000}{2:I103}{4:\n:20:REF", "are messages of HL7, X12"),
        ("8=FIX.4.4\x019=100\x0135=D", "are messages of HL7, X12"),
        ("ISA applies. * UNB + and {1: a}", None),
        ("The court -LRB- per curiam -RRB- held -LSB- sic -RSB-", "have -LRB- and -RRB- in place of brackets"),
        ("the words -LRB- and -RRB- as such, A-B-C", None),
        (
            "[**Known lastname 4**] saw Dr. [**Last Name (STitle) **] on [**2119-3-4**]",
            "have marks of de-identification",
        ),
        ("On XX/XX/2019 XXXX XXXX told me to pay XXXX", "have marks of de-identification"),
        ("Malcolm XXXX; XXXXL; [** a **] b", None),
        (f"INSERT INTO `notes` VALUES (1, '{PROSE}');", "are statements of SQL"),
        ("Copy of the decision (certified)", None),
        ("".join(f" {n} of 50 DOCUMENTS\n\n{PROSE}\n" for n in range(1, 4)), "are deliveries of several"),
        (f"{PROSE}\n\nDocument LBA0000020180101ee1100001\n" * 3, "are deliveries of several"),
        ("He read 3 of 50 documents.\n" * 3, None),
        (PROSE.replace("’", "?") * 3, "have question marks within words"),
        ("Gr??e der Stra?e und Bl?te", "have question marks within words"),
        ("Why?Because. https://a.org/find?query=b See?No. index.php?page a?b:c x?y:z 5?e", None),
        (f"{PROSE} don\u00ef\u00bf\u00bdt", "have ï¿½"),
        (f"锟斤拷 {PROSE}", "have ï¿½"),
        ("Суд постановил отказать полностью".encode("cp1251").decode("cp1252"), "have words of accented letters"),
        ("Το δικαστήριο απέρριψε την αίτηση".encode("cp1253").decode("cp1252", "ignore"), "have words of accented"),
        ("La société créée à Orléans où l’été naît, ÉÈÊ: «déjà» œuvré", None),
        ("이 " * 20 + "x", "have a space behind each letter"),
        (" ".join("TheDecisionIsFinalAndBinding"), "have a space behind each letter"),
        ("x = a b c d e f g, and so on", None),
        ("判決の理由".encode("iso2022_jp").decode().replace("\x1b", "") * 3, "are Japanese in ISO-2022-JP"),
        ("Pay $Bn 5 (B) or $A", None),
        (f"{PROSE[:-10]}… [+1234 chars]", "end in …"),
        (f"{PROSE[:-10]} [...]\n", "end in …"),
        (f"{PROSE[:-10]}... Read more", "end in …"),
        (f"{PROSE[:-10]}…", "end in …"),
        (f"He said … and [...] went. {PROSE}", None),
        (random.Random(1).randbytes(200).hex(), None),
        ("ACGT" * 100, None),
        ("a" * 300 + "Z", None),
        ("", None),
    ],
)
def test_what_may_not_be_meant(text: str, doubt: str | None) -> None:
    found = doubt_about(text)
    assert (found or "").startswith(doubt or "none") or found is doubt
