"""The daemon: the only place that wires the rooms together, starts and stops them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from gateway import __version__, parts
from gateway.app.http import AppServer, Mountable
from gateway.app.pass_methods import PassMethods
from gateway.app.people_methods import PeopleMethods
from gateway.app.review_methods import ReviewMethods
from gateway.app.sessions import Sessions
from gateway.calls.identity_ports import IdentityCheck
from gateway.calls.outside import Outside
from gateway.calls.registry import CallRegistry
from gateway.calls.review_ports import Report
from gateway.calls.rollout import Rollout
from gateway.calls.trunk_ports import Enum, Locator
from gateway.edge.edge import Edge
from gateway.errors import CannotStart, GatewayError, NotAllowed, StoreUnavailable
from gateway.media.pool import Pool
from gateway.media.rtp_ports import PortBlocks
from gateway.media.rtpengine import Rtpengines, split_ports
from gateway.media.sip_anchor import SipAnchors
from gateway.media.webrtc import WebRtcPaths
from gateway.observe import logs
from gateway.observe.lag import LagMeter
from gateway.observe.metrics import Metrics
from gateway.observe.mos import EModel
from gateway.observe.notify import READY, STOPPING, Systemd
from gateway.observe.scrape import MetricsServer
from gateway.observe.traces import Recorder
from gateway.policy.identity import Identities
from gateway.policy.rules import chain_of
from gateway.routing.dialplan import compile_plan
from gateway.routing.enum import domains_of
from gateway.settings import Settings
from gateway.sip.places import parse_place
from gateway.store.bans import BanStore
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.limits import LimitStore
from gateway.store.outbox import Outbox
from gateway.store.passes import PassStore
from gateway.store.people import PeopleStore
from gateway.store.pins import PinStore
from gateway.store.privacy import forget_old_calls, forget_old_reports
from gateway.store.reviews import ReviewStore
from gateway.store.switches import SwitchStore
from gateway.store.usage import DAY_S, WEEK_S, UsageStore
from gateway.trunks.carriers import Trunks
from gateway.values import Reason, UserAddress
from gateway.web.mounted import Mounted
from gateway.web.pages import Pages

log = structlog.get_logger()

STORE_CHECK_S = 5.0
USAGE_S = 600.0
FORGET_S = 3600.0
FORGET_AT_ONCE = 500
FAREWELL_S = 5.0
"""For calls that are ended by force: BYEs answered, records written."""

Step = Callable[[], Awaitable[None]]


class Life:
    """Parts start in order; those that started stop in reverse order."""

    def __init__(self) -> None:
        self._stops: list[tuple[str, Step]] = []

    async def start(self, name: str, start: Step, stop: Step) -> None:
        self._stops.append((name, stop))
        await start()

    async def stop(self) -> None:
        while self._stops:
            name, stop = self._stops.pop()
            try:
                await stop()
            except GatewayError as e:
                log.error("stop_failed", part=name, error=str(e))


class Service:
    """One gateway.  ``start`` serves, ``drain`` and ``stop`` end it."""

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self._reactor = reactor
        self._life = Life()
        self._systemd = Systemd(reactor)
        quality = EModel()
        self.metrics = Metrics(quality)
        self._lag = LagMeter(reactor, self.metrics.lag)
        self._scrape = MetricsServer(settings.metrics, reactor, self.metrics)
        self._database = Database(settings.store, reactor)
        self._outbox = Outbox(self._database, settings.webhooks, self.metrics, reactor.seconds)
        self._store = CallStore(self._database, self._outbox)
        self._reviews = ReviewStore(self._database, self._outbox)
        self._quality = quality
        self._pool: Pool | None = None
        self._engines: Rtpengines | None = None
        self.calls: CallRegistry | None = None
        self.rollout: Rollout | None = None
        self._serving = False
        self._writable = True
        self._checking = LoopingCall(self._check_store)
        self._checking.clock = reactor
        self._counting = LoopingCall(self._count_callers)
        self._counting.clock = reactor
        self._usage = UsageStore(self._database)
        self._forgetting = LoopingCall(self._forget)
        self._forgetting.clock = reactor

    async def start(self) -> None:
        """Bring everything up; ``CannotStart`` says what could not be, and nothing is left."""
        try:
            await self._start()
        except BaseException:
            await self._life.stop()
            raise

    async def _start(self) -> None:
        s, reactor, life = self.settings, self._reactor, self._life
        self._lag.start()
        await life.start("store", self._database.start, self._database.stop)
        await self._start_records()
        edge = Edge(s.sip, parts.passwords(s), reactor, self.metrics, s.trunks)
        traces = edge.tap = await self._recorder()
        await life.start("edge", edge.start, edge.stop)
        locator = await self._locator()
        passwords = parts.trunk_passwords(s)
        trunks = Trunks(s.trunks, passwords, locator, edge.client, reactor, self.metrics)
        for_workers, for_engines = split_ports(s.media.rtp_ports)
        self._pool = pool = Pool(
            s.media,
            edge.inner,
            PortBlocks(*for_workers),
            reactor,
            edge,
            self.metrics,
            f"dm-gateway/{__version__}",
        )
        edge.wills = pool
        await life.start("workers", pool.start, pool.stop)
        self._engines = engines = Rtpengines(s.webrtc, s.media, PortBlocks(*for_engines), reactor)
        await life.start("rtpengine", engines.start, engines.stop)
        sessions = Sessions(s.app, reactor)
        self._entry = entry = parts.entry(s, self._database, sessions, reactor, self.metrics)
        await life.start("tokens", entry.start, entry.stop)
        pins = PinStore(self._database, s.dialin)
        people = PeopleStore(self._database, s.people, s.age)
        whose = Identities(s)
        self.rollout = rollout = Rollout(s.rollout, SwitchStore(self._database), reactor.seconds)
        await rollout.refresh()
        limits = LimitStore(self._database, s.limits, self.metrics, people, self._outbox)
        bans = BanStore(self._database, whose)
        await bans.load()
        passes = PassStore(self._database, s.passes)
        await passes.settle_left_open(reactor.seconds())
        self.calls = calls = CallRegistry(
            Outside(
                pool=pool,
                anchors=SipAnchors(engines, tuple(s.media.codecs)),
                anchored=edge,
                carriers=trunks,
                dial_plan=compile_plan(s.routing),
                chance=random.random,
                pins=pins,
                dialin=s.dialin,
                people=people,
                identities=whose,
                chain=chain_of(s),
                fact_sources=(rollout, bans),
                passes=passes,
                refund_s=s.passes.refund_s,
                limits=s.limits,
                enum=Enum(locator, domains_of(s.trunks)) if s.routing.enum else None,
                ledger=limits,
                holds=limits,
                attestor=parts.signer(s.stir, self.metrics) if s.stir.sign else None,
                identity_check=await self._verifier(),
                leg_tap=traces,
                paths=WebRtcPaths(s, engines, self.metrics.opus_legs),
                clients=sessions,
                locations=edge,
                records=self._store,
                meters=self.metrics,
                quality=self._quality,
                clock=reactor,
                domain=s.sip.domain,
                settings=s.calls,
                media_wait_s=s.app.media_wait_s,
                legs_per_worker=s.media.legs_per_worker,
                ringback=s.media.ringback,
            )
        )
        edge.serve(calls)
        await life.start("trunks", trunks.start, trunks.stop)
        self._valve = valve = parts.GateValve(calls, edge, self.not_ready)
        pages = await self._pages(traces, (calls, pool, trunks, edge, valve), (bans, limits))
        reported = partial(self._reported, people)
        reviews = ReviewMethods(self._reviews, self._store, self.metrics, reactor.seconds, reported)
        mine = PeopleMethods(people, whose, rollout.includes, s.calls.ring_s, reactor.seconds)
        http = AppServer(
            s,
            reactor,
            sessions,
            calls,
            self._store,
            pins,
            reviews,
            mine,
            PassMethods(passes, sessions, s.passes, reactor.seconds),
            self.not_ready,
            pages,
            entry.tokens,
            api=await self._api(calls, pins, people, bans, passes),
        )
        await life.start("http", http.start, http.stop)
        await life.start("metrics", self._scrape.start, self._scrape.stop)
        self._serving = True
        self._begin_upkeep()
        self._systemd.tell(READY, f"STATUS=serving SIP on {edge.outer}, HTTP on {http.address}")
        self._systemd.start_watchdog()
        log.info("ready", sip=str(edge.outer), http=str(http.address), version=__version__)

    async def _start_records(self) -> None:
        hooks, outbox = self.settings.webhooks, self._outbox
        await outbox.start()
        if hooks:
            couriers = parts.couriers(hooks, outbox, self._reactor, self.metrics)
            outbox.wake = couriers.wake
            await self._life.start("webhooks", couriers.start, couriers.stop)
        left = await self._store.close_left_open(self._reactor.seconds())
        if left:
            log.warning("records_closed", count=left, reason=str(Reason.GATEWAY_ERROR))

    async def _recorder(self) -> Recorder | None:
        made = parts.recorder(self.settings.console, self._reactor)
        if made is not None:
            await self._life.start("traces", _nothing, parts.hearing(made))
        return made

    async def _locator(self) -> Locator:
        s = self.settings
        if not s.trunks:
            return parts.Nowhere()
        resolver = parts.resolver(parts.usable(s), self._reactor, self.metrics)
        named = any(not parse_place(trunk.address).numeric for trunk in s.trunks)
        if named or s.routing.enum:
            await self._life.start("dns", resolver.start, resolver.stop)
        return resolver

    async def _api(
        self,
        calls: CallRegistry,
        pins: PinStore,
        people: PeopleStore,
        bans: BanStore,
        passes: PassStore,
    ) -> Resource | None:
        if not self.settings.api.tokens or self.rollout is None:
            return None
        wired = (calls, pins, people, self._reviews, bans, passes, self.rollout, self._entry)
        return await parts.api(
            self.settings.api, self._database, *wired, self._reactor, self.metrics
        )

    async def _pages(
        self,
        traces: Recorder | None,
        seen: tuple[CallRegistry, Pool, Trunks, Edge, parts.GateValve],
        kept: tuple[BanStore, LimitStore],
    ) -> Mountable:
        pages: list[Mountable] = [Pages(self.settings, self._reactor.seconds)]
        if traces is not None:
            console = parts.console(
                self.settings.console,
                (traces, *seen),
                (self._database, self._reviews, *kept),
                self._reactor,
                self.metrics,
            )
            await self._life.start("console", console.start, console.stop)
            pages.append(console.pages)
        return Mounted(pages)

    async def _reported(self, people: PeopleStore, report: Report, block: bool) -> None:
        if not block or not isinstance(report.by, UserAddress):
            return
        try:
            await people.block(report.by.handle, report.about, self._reactor.seconds())
        except NotAllowed as e:  # as many as there may be: the report stands all the same
            log.info("block_not_added", user=report.by.handle, why=str(e))

    async def _verifier(self) -> IdentityCheck | None:
        if not self.settings.stir.verify:
            return None
        made = parts.verifier(self.settings.stir, self._reactor, self.metrics)
        await self._life.start("stir", _nothing, made.stop)
        return made

    async def _check_store(self) -> None:
        self._writable = await self._database.writable()
        if self._writable and self.rollout is not None:
            try:
                await self.rollout.refresh()
            except StoreUnavailable as e:
                log.warning("rollout_not_refreshed", error=str(e))

    def _begin_upkeep(self) -> None:
        self._checking.start(STORE_CHECK_S, now=False)
        self._counting.start(USAGE_S)
        self._forgetting.start(FORGET_S)

    async def _forget(self) -> None:
        """In small steps: who writes records must not wait for long."""
        store, now = self.settings.store, self._reactor.seconds()
        calls = 0
        try:
            while store.calls_days is not None and self._forgetting.running:
                before = now - store.calls_days * DAY_S
                work = partial(forget_old_calls, before=before, most=FORGET_AT_ONCE)
                step = await self._database.write(work)
                calls += step
                if step < FORGET_AT_ONCE:
                    break
            reports = 0
            if store.reports_days is not None:
                before = now - store.reports_days * DAY_S
                forget = partial(forget_old_reports, before=before)
                reports = await self._database.write(forget)
        except StoreUnavailable:
            return  # readiness tells of it; the next turn goes on
        if calls or reports:
            log.info("forgotten", calls=calls, reports=reports)

    async def _count_callers(self) -> None:
        try:
            found = await self._usage.callers(self._reactor.seconds() - WEEK_S)
        except StoreUnavailable:
            return  # readiness tells of it; the next turn counts again
        for callers in found:
            self.metrics.callers_of_the_week(callers.direction, callers.all, callers.again)

    def not_ready(self) -> Sequence[str]:
        """What keeps new calls from being taken; nothing: ready."""
        why: list[str] = []
        if not self._serving or self._pool is None or self.calls is None:
            return ["starting"]
        if self.calls.draining:
            why.append("draining")
        if not self._writable:
            why.append("the database does not take writes")
        if not self._pool.ready():
            why.append("no media worker is free")
        why += self._entry.tokens.amiss()
        engines = self._engines
        if engines is not None and engines.all and not any(e.up for e in engines.all):
            why.append("no rtpengine answers")
        return why

    async def drain(self) -> None:
        """Refuse new calls, let the present ones end, for ``daemon.drain_s`` at most."""
        self._systemd.tell(STOPPING, "STATUS=draining")
        calls = self.calls
        if calls is None:
            return
        self._valve.end()
        drained = calls.drain()
        log.info("draining", calls=len(calls), drain_s=self.settings.daemon.drain_s)
        limit = self.settings.daemon.drain_s
        timer = self._reactor.callLater(limit, calls.end_all, Reason.GATEWAY_ERROR)
        try:
            await drained
        finally:
            if timer.active():
                timer.cancel()

    async def stop(self) -> None:
        """End what is left, at once but properly: BYEs are sent, records are finished."""
        calls = self.calls
        if calls is not None and len(calls):
            self._valve.end()
            ended = calls.drain()
            calls.end_all(Reason.GATEWAY_ERROR)
            ended.addTimeout(FAREWELL_S, self._reactor)
            try:
                await ended
            except TimeoutError:
                log.error("calls_hang", count=len(calls))
        for loop in (self._checking, self._counting, self._forgetting):
            if loop.running:
                loop.stop()
        self._systemd.stop_watchdog()
        self._lag.stop()
        await self._life.stop()
        log.info("stopped")


async def _nothing() -> None:
    """For parts that are there once they are made."""


class _Daemon:
    """Signals, exit code, and the one way out."""

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self._settings = settings
        self._reactor = reactor
        self._service: Service | None = None
        self._task: Deferred[Any] | None = None
        self._asked = 0
        self._leaving = False
        self.exit_code = 0

    def begin(self) -> None:
        self._run(self._start())

    def _run(self, work: Any) -> None:
        self._task = Deferred.fromCoroutine(work)
        self._task.addErrback(self._failed)

    async def _start(self) -> None:
        self._service = Service(self._settings, self._reactor)
        await self._service.start()

    def _failed(self, failure: Failure) -> None:
        self.exit_code = 1
        if isinstance(failure.value, CannotStart):
            log.error("cannot_start", error=str(failure.value))
        else:
            log.error("daemon_broke", traceback=failure.getTraceback())
        if self._reactor.running:
            self._reactor.stop()

    def signalled(self) -> None:
        """The first one drains, the second ends at once; a third one does not wait for anything."""
        self._asked += 1
        if self._asked == 1:
            self._run(self._drain_and_stop())
        elif self._asked == 2:
            self._run(self._stop())
        else:
            log.error("ended_by_force")
            os._exit(1)

    async def _drain_and_stop(self) -> None:
        if self._service is not None:
            await self._service.drain()
        if self._asked == 1:
            await self._stop()

    async def _stop(self) -> None:
        if self._leaving:
            return
        self._leaving = True
        if self._service is not None:
            await self._service.stop()
        self._reactor.stop()


def run(settings: Settings, loop: asyncio.AbstractEventLoop, reactor: Any) -> int:
    """Run the daemon until it is told to end; returns the exit code."""
    logs.begin(settings.daemon.log_level, settings.daemon.log_format)
    daemon = _Daemon(settings, reactor)
    reactor.callWhenRunning(daemon.begin)
    # the reactor's own handlers are not installed, so children are reaped here
    loop.add_signal_handler(signal.SIGCHLD, reapAllProcesses)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.signalled)
    reactor.run(installSignalHandlers=False)
    return daemon.exit_code
