"""The Try it view: a checkpoint, a picture or clip of one's own, a question, n completions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from mmrl.errors import MmrlError
from mmrl.inspector.browse import MOST_INDEX, MOST_SEED, Catalogue, Choice
from mmrl.inspector.html_parts import note
from mmrl.inspector.html_tried import CSS, asked_html, progress_html, upload_html
from mmrl.inspector.models import MOST_NEW_TOKENS
from mmrl.inspector.page import Page
from mmrl.inspector.targets import LONGEST
from mmrl.inspector.try_it import (
    HOTTEST,
    LONGEST_QUESTION,
    MOST_COMPLETIONS,
    Asked,
    Question,
    Studio,
    Ticket,
    question_about,
    spaces_of,
)
from mmrl.inspector.uploads import FORMATS, MAX_BYTES, Shelf, read_upload
from mmrl.inspector.views.samples import first_name, whole
from mmrl.inspector.views.shared import QUIET
from mmrl.parse.boxes import CoordSpace
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

_OWN, _DATA = "my own", "of a data set"
_EVERY_S = 0.25
"""Between two looks at how far a question is."""
_AT_ONCE = 2
"""Questions that hold a thread of the server; further ones wait in its queue."""
_FAILED = (MmrlError, RuntimeError, OSError, ValueError, MemoryError)
"""What is told in words: ours, and what models raise (no memory, a device that is gone)."""
_FAMILY = "as the model's family writes"


def tab(page: Page) -> None:
    """Lays the view out in the current tab."""
    studio = Studio(page.runs, page.models)
    catalogue = Catalogue(page.data_roots, page.pool)
    shelf = Shelf()
    tickets: dict[str, Ticket] = {}
    names = catalogue.names()
    data_first = first_name(page, names)
    tasks = [name for name in TASKS if ":" not in name]
    task_first = data_first if data_first in tasks else "grounding"
    space_first, written_first = spaces_of(task_first)
    spaces = [str(space) for space in CoordSpace]
    gr.HTML(f"<style>{CSS}</style>", elem_classes="mi-hidden")
    held = gr.State("")
    with gr.Row():
        with gr.Column(scale=0, min_width=340, elem_classes="mi-side mi-tight"):
            models, model_first = _models(studio)
            model = gr.Dropdown(models, value=model_first, label="Model", elem_id="mi-model")
            source = gr.Radio([_OWN, _DATA], value=_OWN, label="Sample", elem_id="mi-source")
            with gr.Column(elem_classes="mi-tight") as own:
                file = gr.File(label="Picture or clip", height=104, elem_id="mi-upload")
                preview = gr.HTML(elem_id="mi-preview")
                away = gr.Button("Remove", size="sm", visible=False, elem_id="mi-away")
                question = gr.Textbox(
                    label="Question", lines=2, max_length=LONGEST_QUESTION, elem_id="mi-question"
                )
                task = gr.Dropdown(tasks, value=task_first, label="Task", elem_id="mi-task")
                plain = gr.Checkbox(label="without the task's template", container=False)
            with gr.Column(visible=False, elem_classes="mi-tight") as given:
                data = gr.Dropdown(names, value=data_first, label="Data set", elem_id="mi-try-data")
                with gr.Row(elem_classes="mi-tight"):
                    split = gr.Dropdown(
                        ["test", "train"],
                        value="test",
                        label="Split",
                        allow_custom_value=True,
                        min_width=90,
                    )
                    index = _field("Number", 0, MOST_INDEX, "mi-try-number")
            with gr.Row(elem_classes="mi-tight"):
                num = _field("Answers", 4, MOST_COMPLETIONS, "mi-num", least=1)
                heat = gr.Number(
                    1.0, label="Temp.", minimum=0, maximum=HOTTEST, step=0.1, min_width=64
                )
                tokens = _field("Tokens", 0, MOST_NEW_TOKENS, "mi-tokens")
                seed = _field("Seed", 0, MOST_SEED, "mi-try-seed")
            with gr.Row(elem_classes="mi-tight"):
                ask = gr.Button("Ask", variant="primary", size="md", min_width=90, elem_id="mi-ask")
                stop = gr.Button("Cancel", size="md", min_width=90, elem_id="mi-cancel")
            with gr.Accordion("Target, for rewards", open=False) as reference:
                target = gr.Textbox(
                    label="JSON or text, as the task's data has it",
                    lines=2,
                    max_length=LONGEST,
                    elem_id="mi-target-text",
                )
                target_space = gr.Dropdown(
                    spaces,
                    value=space_first or "abs_original",
                    label="Its boxes and points are in",
                )
                answer_space = gr.Dropdown(
                    [_FAMILY, *spaces],
                    value=written_first or _FAMILY,
                    label="Answers are written in",
                )
        with gr.Column(scale=3):
            status = gr.HTML(elem_id="mi-try-status")
            shown = gr.HTML(note(_hint(studio)), elem_id="mi-tried")

    def admit(path: str | None, before: str) -> list[Any]:
        """Takes an upload in: its file is gone afterwards, the medium is held or refused."""
        if not path:
            return [before, gr.skip(), gr.skip(), None]
        shelf.drop(before)
        try:
            upload = read_upload(Path(path), Path(get_upload_folder()))
            shown_here = upload_html(upload, page.pool)
        except MmrlError as error:
            return ["", note(str(error), "bad"), gr.Button(visible=False), None]
        return [shelf.put(upload), shown_here, gr.Button(visible=True), None]

    def remove(name: str) -> list[Any]:
        shelf.drop(name)
        return ["", "", gr.Button(visible=False)]

    def sample_of(values: Mapping[str, Any]) -> Sample:
        if values["source"] == _DATA:
            choice = Choice(index=whole(values["index"]), split=values["split"] or "")
            return catalogue.sample(values["data"] or "", choice)
        written = values["answer_space"]
        return question_about(
            values["task"] or "",
            values["question"] or "",
            [shelf.get(values["held"]).ref] if values["held"] else [],
            name="upload",
            plain=bool(values["plain"]),
            coord_space=values["target_space"] or None,
            answer_space=None if written in (None, _FAMILY) else written,
        )

    def question_of(values: Mapping[str, Any]) -> Question:
        sample = sample_of(values)
        typed = (values["target"] or "").strip() if values["source"] == _OWN else ""
        return Question(
            checkpoint=values["model"] or "",
            sample=sample,
            num=whole(values["num"]),
            temperature=float(values["heat"] or 0),
            seed=whole(values["seed"]),
            max_new_tokens=whole(values["tokens"]) or None,
            scored=bool(typed) or values["source"] == _DATA,
            target=typed or None,
        )

    fields = {
        "model": model, "source": source, "held": held, "data": data, "index": index,
        "split": split, "task": task, "plain": plain, "question": question, "target": target,
        "target_space": target_space, "answer_space": answer_space, "num": num, "heat": heat,
        "tokens": tokens, "seed": seed,
    }  # fmt: skip

    def run(request: gr.Request, *given_values: Any) -> Iterator[list[Any]]:
        """Asks, telling how far it is, until the answers are there or it is stopped."""
        key = request.session_hash or ""
        if key in tickets:
            tickets[key].cancel()  # a reader asks one thing at a time
        tickets[key] = ticket = Ticket()
        try:
            asked_for = question_of(dict(zip(fields, given_values, strict=True)))
            asking = _Asking(studio, asked_for, ticket)
            while asking.is_alive():
                yield [progress_html(ticket.status, ticket.share), gr.skip()]
                asking.join(_EVERY_S)
            yield ["", asked_html(asking.answer(), page.pool, asked_for.checkpoint)]
        except _FAILED as error:
            yield [note(_words(error), "bad"), gr.skip()]
        finally:
            ticket.cancel()
            if tickets.get(key) is ticket:
                del tickets[key]

    def leave() -> None:
        """Takes back what is asked and lets the model go."""
        for ticket in list(tickets.values()):
            ticket.cancel()
        studio.close()

    page.at_close(leave)

    def cancel(request: gr.Request) -> None:
        ticket = tickets.get(request.session_hash or "")
        if ticket is not None:
            ticket.cancel()

    def fit(name: str) -> list[Any]:
        """The spaces that a task's own samples have, where it draws some."""
        coord, written = spaces_of(name or "")
        return [coord or "abs_original", written or _FAMILY]

    model.focus(lambda: gr.Dropdown(_models(studio)[0]), None, model, **QUIET)
    source.input(
        lambda chosen: [
            gr.Column(visible=chosen == _OWN),
            gr.Column(visible=chosen != _OWN),
            gr.Accordion(visible=chosen == _OWN),
        ],
        source,
        [own, given, reference],
        **QUIET,
    )
    task.input(fit, task, [target_space, answer_space], **QUIET)
    file.upload(admit, [file, held], [held, preview, away, file], concurrency_limit=2, **QUIET)
    away.click(remove, held, [held, preview, away], **QUIET)
    ask.click(run, list(fields.values()), [status, shown], concurrency_limit=_AT_ONCE, **QUIET)
    stop.click(cancel, None, None, queue=False, **QUIET)


def _hint(studio: Studio) -> str:
    """What can be done here, for who has done nothing yet."""
    if not studio.checkpoints():
        return (
            "No model is here yet: a run has one when it is finished, and a checkpoint before "
            "(checkpoint.every); a folder is named with --model"
        )
    return (
        f"Upload a picture or clip ({FORMATS}; at most {MAX_BYTES >> 20} MiB), or take a sample of "
        "a data set, and ask. With a target every answer gets its rewards; 0 tokens are as many "
        "as the run allowed, temperature 0 is the one greedy answer"
    )


def _field(label: str, value: int, most: int, name: str, *, least: int = 0) -> gr.Number:
    """A small field for a whole number."""
    return gr.Number(
        value,
        label=label,
        precision=0,
        minimum=least,
        maximum=most,
        min_width=64,
        elem_id=name,
    )


def _models(studio: Studio) -> tuple[list[str], str | None]:
    known = list(studio.checkpoints())
    return known, known[0] if known else None


class _Asking(threading.Thread):
    """A question in a thread of its own; when that has ended, `answer` tells what came of it."""

    def __init__(self, studio: Studio, question: Question, ticket: Ticket) -> None:
        super().__init__(name="mmrl-try-it", daemon=True)
        self._studio, self._question, self._ticket = studio, question, ticket
        self._asked: Asked | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._asked = self._studio.ask(self._question, self._ticket)
        except _FAILED as error:
            self._error = error

    def answer(self) -> Asked:
        """The answers; raises what asking raised."""
        if self._error is not None:
            raise self._error
        if self._asked is None:
            raise RuntimeError("the log of the page says how")
        return self._asked


def _words(error: BaseException) -> str:
    if isinstance(error, MmrlError):
        return str(error)
    return f"the model failed: {type(error).__name__}: {error}"[:600]
