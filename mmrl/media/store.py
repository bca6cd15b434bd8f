"""The one door to pixels: each medium decoded once, held once, found by content and plan.

    plan = store.plan(ref, budget, factor)     header only
    store.prefetch([(ref, plan), ...])         returns at once
    pixels = store.video(ref, plan)            memory, else disk cache, else a decoding worker

Arrays are shared and therefore read-only; groups and batches hold them, not copies.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from mmrl.closing import Closing
from mmrl.errors import MediaError
from mmrl.media import source
from mmrl.media.cache import ClipCache
from mmrl.media.decode import Plan, decode, plan_to_json
from mmrl.media.header import VideoHeader, read_video_header
from mmrl.media.image import ImageHeader, read_image_header
from mmrl.media.plan import ImagePlan, MediaBudget, VideoPlan, plan_image, plan_video
from mmrl.media.quarantine import PASSING
from mmrl.media.scenes import find_cuts
from mmrl.media.workers import DecodePool
from mmrl.types import MediaRef

_FORMAT = "1"
"""Part of every cache key: raise it when decoding or resizing changes pixels."""
_MAX_HEADERS = 100_000
"""Headers remembered; a few hundred bytes each."""

_V = TypeVar("_V")
_Submit = Callable[[MediaRef, Plan], Future[np.ndarray]]


class _Recent(Generic[_V]):
    """A mapping that forgets the least recently used beyond a bound on its total size."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.size = 0
        self._items: OrderedDict[Hashable, tuple[_V, int]] = OrderedDict()

    def get(self, key: Hashable) -> _V | None:
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def put(self, key: Hashable, value: _V, size: int) -> None:
        if key in self._items:
            self.size -= self._items.pop(key)[1]
        if size > self.bound:
            return
        self._items[key] = (value, size)
        self.size += size
        while self.size > self.bound:
            self.size -= self._items.popitem(last=False)[1][1]


class MediaStore(Closing):
    """Plans and pixels of media, in memory up to `memory_bytes`, clips on disk under `cache_dir`.

    Clips are decoded in `workers` killable processes, each within `timeout_s` seconds; 0 decodes
    here, without a time limit. Pictures are decoded here unless they were prefetched. A medium
    that failed is not tried again; each is counted once, by its reason, and listed in
    `quarantine_path` (JSON lines), which later runs may share.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 1 << 30,
        cache_dir: str | Path | None = None,
        cache_bytes: int = 4 << 30,
        workers: int = 0,
        timeout_s: float = 30.0,
        quarantine_path: str | Path | None = None,
        pool: DecodePool | None = None,
    ) -> None:
        self.cache = None if cache_dir is None else ClipCache(cache_dir, cache_bytes)
        self.pool = pool or DecodePool(workers, timeout_s, quarantine_path)
        self._lock = threading.Lock()
        self._pixels: _Recent[np.ndarray] = _Recent(memory_bytes)
        self._headers: _Recent[ImageHeader | VideoHeader] = _Recent(_MAX_HEADERS)
        self._cuts: _Recent[tuple[int, ...]] = _Recent(_MAX_HEADERS)
        self._pending: dict[str, Future[np.ndarray]] = {}
        self._final: dict[tuple[str, str], MediaError] = {}
        self._failed: dict[tuple[str, str], str] = {}
        self._counts: Counter[str] = Counter()

    def digest(self, ref: MediaRef) -> str:
        """SHA-256 (hex) of the medium's bytes."""
        return source.digest(ref)

    def header(self, ref: MediaRef) -> ImageHeader | VideoHeader:
        """What the medium's header says; read once a content."""
        key = (ref.kind, self._digest(ref))
        with self._lock:
            known = self._headers.get(key)
        if known is None:
            self._refuse_known(ref, key)
            try:
                known = read_image_header(ref) if ref.kind == "image" else read_video_header(ref)
            except MediaError as error:
                raise self._remember(ref, error) from error
            with self._lock:
                self._headers.put(key, known, 1)
        return known

    def plan(
        self, ref: MediaRef, budget: MediaBudget, factor: int = 28, frame_factor: int = 2
    ) -> Plan:
        """What will be seen of a medium under a budget and the reference's own options.

        Nothing is decoded, except under strategy `scenes` (once a clip, to find its cuts).
        """
        header, budget = self.header(ref), budget.override(ref.options)
        try:
            if isinstance(header, ImageHeader):
                return plan_image(header, budget, factor)
            cuts = self._cuts_of(ref, header) if budget.strategy == "scenes" else None
            return plan_video(header, budget, factor, frame_factor, span=ref.span, cuts=cuts)
        except MediaError as error:
            named = MediaError(f"{source.name_of(ref)}: {error}", reason=error.reason)
            raise self._remember(ref, named, final=False) from error

    def image(self, ref: MediaRef, plan: ImagePlan) -> np.ndarray:
        """Pixels of a picture as planned: uint8 [H, W, 3], read-only."""
        return self._get(ref, plan)

    def video(self, ref: MediaRef, plan: VideoPlan) -> np.ndarray:
        """Frames of a clip as planned: uint8 [F, H, W, 3], read-only."""
        return self._get(ref, plan)

    def prefetch(self, items: Iterable[tuple[MediaRef, Plan]]) -> None:
        """Starts decoding what is neither held nor under way; errors wait for the asker."""
        if not self.pool.workers:
            return
        for ref, plan in items:
            try:
                key = self._key(ref, plan)
            except MediaError:
                continue
            with self._lock:
                if key in self._pixels or (ref.kind, source.digest(ref)) in self._final:
                    continue
            if self.cache is None or not self.cache.has(key):
                self._begin(ref, plan, key, self.pool.submit)

    def counters(self) -> dict[str, Any]:
        """`decoded`, `memory_hits`, `cache_hits`, `killed`, `fallbacks` {"a->b": n},
        `quarantined` {reason: number of failed media}."""
        pool = self.pool.counters()
        with self._lock:
            return {
                "decoded": self._counts["decoded"],
                "memory_hits": self._counts["memory_hits"],
                "cache_hits": self._counts["cache_hits"],
                "killed": pool["killed"],
                "fallbacks": pool["fallbacks"],
                "quarantined": dict(Counter(self._failed.values())),
            }

    def close(self) -> None:
        """Ends the decoding processes."""
        self.pool.close()

    def _get(self, ref: MediaRef, plan: Plan) -> np.ndarray:
        key = self._key(ref, plan)
        with self._lock:
            held = self._pixels.get(key)
            if held is not None:
                self._counts["memory_hits"] += 1
                return held
        self._refuse_known(ref, (ref.kind, source.digest(ref)))
        with self._lock:
            pending = self._pending.get(key)
        if pending is None and self.cache is not None and isinstance(plan, VideoPlan):
            cached = self.cache.get(key)
            if cached is not None:
                with self._lock:
                    self._counts["cache_hits"] += 1
                return self._hold(key, cached)
        submit = self._decode_here if isinstance(plan, ImagePlan) else self.pool.submit
        return self._begin(ref, plan, key, submit).result()

    def _begin(self, ref: MediaRef, plan: Plan, key: str, submit: _Submit) -> Future[np.ndarray]:
        """The one decoding of these pixels that is under way, begun now if there is none."""
        done: Future[np.ndarray] = Future()
        with self._lock:
            if key in self._pending:
                return self._pending[key]
            self._pending[key] = done

        def finish(decoding: Future[np.ndarray]) -> None:
            try:
                pixels = self._hold(key, decoding.result())
                if self.cache is not None and isinstance(plan, VideoPlan):
                    self.cache.put(key, pixels)
                with self._lock:
                    self._counts["decoded"] += 1
                    self._pending.pop(key, None)
                done.set_result(pixels)
            except (MediaError, CancelledError) as error:
                if not isinstance(error, MediaError):
                    error = MediaError(f"{source.name_of(ref)}: cancelled", reason="cancelled")
                self._remember(ref, error)
                with self._lock:
                    self._pending.pop(key, None)
                done.set_exception(error)

        submit(ref, plan).add_done_callback(finish)
        return done

    def _decode_here(self, ref: MediaRef, plan: Plan) -> Future[np.ndarray]:
        decoding: Future[np.ndarray] = Future()
        try:
            decoding.set_result(decode(ref, plan))
        except MediaError as error:
            decoding.set_exception(error)
        return decoding

    def _hold(self, key: str, pixels: np.ndarray) -> np.ndarray:
        pixels.setflags(write=False)
        with self._lock:
            self._pixels.put(key, pixels, pixels.nbytes)
        return pixels

    def _refuse_known(self, ref: MediaRef, key: tuple[str, str]) -> None:
        """Raises what was found before, in this run or on the quarantine list."""
        with self._lock:
            found = self._final.get(key)
        if found is not None:
            raise MediaError(str(found), reason=found.reason)
        try:
            self.pool.quarantine.check(ref)
        except MediaError as error:
            raise self._remember(ref, error) from error

    def _cuts_of(self, ref: MediaRef, header: VideoHeader) -> tuple[int, ...]:
        key = self.digest(ref)
        with self._lock:
            cuts = self._cuts.get(key)
        if cuts is None:
            cuts = find_cuts(ref, header)
            with self._lock:
                self._cuts.put(key, cuts, 1)
        return cuts

    def _key(self, ref: MediaRef, plan: Plan) -> str:
        text = f"{_FORMAT}\n{self._digest(ref)}\n{plan_to_json(plan)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _digest(self, ref: MediaRef) -> str:
        try:
            return source.digest(ref)
        except MediaError as error:
            raise self._remember(ref, error, final=False) from error

    def _remember(self, ref: MediaRef, error: MediaError, final: bool = True) -> MediaError:
        """Counts the medium as failed; `final` keeps it from being tried again."""
        try:
            key = (ref.kind, source.digest(ref))
        except MediaError:
            key = (ref.kind, source.name_of(ref))
            final = False
        with self._lock:
            self._failed.setdefault(key, error.reason)
            if final and error.reason not in PASSING:
                self._final.setdefault(key, error)
        if final:
            self.pool.quarantine.add(ref, error)
        return error
