"""Mails and what is attached to them, through the real readers."""

from __future__ import annotations

import email.policy
from email.message import EmailMessage

import pytest
from outlook import message_tree, outlook_message
from sample_files import word

from infra.errors import Unprocessable
from ingest.elements import ElementKind, ParsedDocument
from ingest.parse import parse

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


def headings(parsed: ParsedDocument) -> list[tuple[int | None, str]]:
    return [(e.level, parsed.text[e.start : e.end]) for e in parsed.elements if e.kind is ElementKind.HEADING]


def message(subject: str, body: str = "Some text.") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["Subject"] = "ann@example.org", subject
    made.set_content(body)
    return made


def test_each_attachment_is_a_section_and_a_bad_one_costs_itself() -> None:
    mail = message("Leave")
    mail.add_attachment(word(), maintype="application", subtype="octet-stream", filename="leave.docx")
    mail.add_attachment(b"%PDF-1.4 broken", maintype="application", subtype="pdf", filename="../../etc/plan.pdf")
    mail.add_attachment(b"GIF89a" + bytes(40), maintype="image", subtype="gif", filename="all.gif")
    mail.add_attachment("Name;Days\nAnn;27\n", subtype="csv", filename="days.csv")
    parsed = parse(mail.as_bytes(), "m.eml")
    assert headings(parsed) == [(1, "Leave"), (2, "leave.docx"), (3, "Leave"), (2, "days.csv")]
    assert "\n\ndays.csv\n\nName | Days\nAnn | 27" in parsed.text
    assert "Attachment not read: plan.pdf. The PDF is damaged and cannot be read." in parsed.text
    assert "Attachment not read: all.gif.\n" in parsed.text
    assert "etc" not in parsed.text


def test_pictures_in_the_body_and_signatures_are_no_attachments() -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "ann@example.org", "Logo"
    mail.set_content("<p>Hello <img src='cid:logo'></p>", subtype="html")
    mail.add_related(PICTURE, maintype="image", subtype="png", cid="<logo>", filename="logo.png")
    mail.make_mixed()
    mail.add_attachment(b"x", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")
    mail.add_attachment(PICTURE, maintype="image", subtype="png", filename="chart.png")
    text = parse(mail.as_bytes(), "m.eml").text
    assert "logo" not in text
    assert "smime" not in text
    assert text.endswith("\n\nAttachment not read: chart.png.")


def test_an_attached_message_is_read_once_with_its_own_attachments() -> None:
    inner = message("Inner", "Inner text.")
    inner.add_attachment("# Deep\n\nDeep text.", subtype="markdown", filename="deep.md")
    outer = message("Outer", "Outer text.")
    outer.add_attachment(inner)
    parsed = parse(outer.as_bytes(), "m.eml")
    assert headings(parsed) == [(1, "Outer"), (2, "Inner"), (3, "deep.md"), (4, "Deep")]
    assert parsed.text.count("Inner text.") == parsed.text.count("Deep text.") == 1


def test_messages_in_messages_end_at_a_depth() -> None:
    mail = message("Level 9", "Text 9.")
    for level in range(8, 0, -1):
        outer = message(f"Level {level}", f"Text {level}.")
        outer.add_attachment(mail)
        mail = outer
    text = parse(mail.as_bytes(), "m.eml").text
    assert "Text 4." in text
    assert "Text 5." not in text
    assert "Attachment not read: Level 5. It lies too deep in other messages." in text


def test_a_mail_in_a_mail_file_counts_as_deep_as_it_lies() -> None:
    mail = message("Level 9", "Text 9.").as_bytes()
    for level in range(8, 0, -1):
        outer = message(f"Level {level}", f"Text {level}.")
        outer.add_attachment(mail, maintype="application", subtype="octet-stream", filename=f"{level}.eml")
        mail = outer.as_bytes()
    text = parse(mail, "m.eml").text
    assert "Text 4." in text
    assert "Text 5." not in text
    assert "Attachment not read: 4.eml. It lies too deep in other messages." in text


def test_a_mail_without_a_body_is_its_headers() -> None:
    assert parse(b"From: ann@example.org\nSubject: Nothing\n\n", "m.eml").text == "Nothing\n\nFrom: ann@example.org"


def test_a_mail_that_is_a_file_alone() -> None:
    mail = EmailMessage(policy=email.policy.default)
    mail["From"], mail["Subject"] = "ann@example.org", "Days"
    mail.set_content(b"Name,Days\nAnn,27\n", maintype="application", subtype="octet-stream", filename="days.csv")
    assert "days.csv\n\nName | Days\nAnn | 27" in parse(mail.as_bytes(), "m.eml").text


def test_outlook_message() -> None:
    data = outlook_message(
        subject="Leave",
        html="<p>Everyone has <b>leave</b>.</p><img src='cid:logo'>",
        body="plain",
        to=["Bo", "Cem"],
        files=[("days.csv", "text/csv", b"Name,Days\nAnn,27\n"), ("..\\bad.pdf", "application/pdf", b"%PDF-1.4 no")],
        pictures=[("logo.png", PICTURE)],
        messages=[
            message_tree(
                subject="Inner",
                body="Inner text.",
                attached=True,
                files=[("deep.md", "text/markdown", b"# Deep\n\nDeep text.")],
            )
        ],
    )
    parsed = parse(data, "m.msg")
    assert parsed.title == "Leave"
    assert headings(parsed) == [(1, "Leave"), (2, "Inner"), (3, "deep.md"), (4, "Deep"), (2, "days.csv")]
    assert parsed.text.startswith(
        'Leave\n\nFrom: "Ann" <ann@example.org>\nTo: Bo <bo@example.org>, Cem <cem@example.org>\n\nEveryone has leave.\n\n'
    )
    assert "Attachment not read: bad.pdf. " in parsed.text
    assert "logo" not in parsed.text
    assert "plain" not in parsed.text


def test_an_outlook_message_in_a_mail() -> None:
    mail = message("Outer")
    data = outlook_message(subject="Inner", body="Inner text.", files=[("a.txt", "text/plain", b"File text here.")])
    mail.add_attachment(data, maintype="application", subtype="vnd.ms-outlook", filename="inner.msg")
    assert headings(parse(mail.as_bytes(), "m.eml")) == [(1, "Outer"), (2, "inner.msg"), (3, "Inner"), (4, "a.txt")]


def test_an_encrypted_mail_says_so() -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "ann@example.org", "Secret"
    mail.set_content(b"\x30\x80", maintype="application", subtype="pkcs7-mime", filename="smime.p7m")
    with pytest.raises(Unprocessable) as caught:
        parse(mail.as_bytes(), "m.eml")
    assert caught.value.code == "encrypted"
