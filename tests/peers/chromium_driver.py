"""The process that holds Chromium: JSON commands on stdin, JSON answers on stdout, one a line.

Run as ``python -m tests.peers.chromium_driver``; ``tests.peers.chromium`` speaks with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Error, Page, async_playwright

FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BLANK = "http://localhost/blank"

# Runs in every page before its own scripts: keeps remote audio tracks, and takes the
# microphone as it is (noise suppression removes a steady tone).
HOOKS = """
(() => {
  window.__remote = [];
  const Plain = window.RTCPeerConnection;
  if (Plain) {
    window.RTCPeerConnection = class extends Plain {
      constructor(...args) {
        super(...args);
        this.addEventListener('track', e => {
          if (e.track.kind === 'audio') window.__remote.push(e.track);
        });
        (window.__peers = window.__peers || []).push(this);
      }
    };
  }
  const devices = navigator.mediaDevices;
  if (devices) {
    const plain = devices.getUserMedia.bind(devices);
    devices.getUserMedia = constraints => {
      const wanted = {...constraints};
      if (wanted.audio) {
        const audio = wanted.audio === true ? {} : wanted.audio;
        wanted.audio = {...audio, echoCancellation: false, noiseSuppression: false,
          autoGainControl: false};
      }
      return plain(wanted);
    };
  }
  const tap = `registerProcessor('tap', class extends AudioWorkletProcessor {
    constructor() { super(); this.part = new Float32Array(4096); this.at = 0; }
    process(inputs) {
      const channel = inputs[0][0];
      const frame = channel || new Float32Array(128);
      this.part.set(frame, this.at);
      this.at += frame.length;
      if (this.at >= this.part.length) {
        this.port.postMessage(this.part.slice()); this.at = 0;
      }
      return true;
    }
  });`;
  window.__record = async (index) => {
    const until = Date.now() + 5000;
    const at = () => index < 0 ? __remote.length + index : index;
    while (!__remote[at()] && Date.now() < until) await new Promise(r => setTimeout(r, 20));
    const track = __remote[at()];
    if (!track) throw new Error('no remote audio track');
    const stream = new MediaStream([track]);
    const sink = new Audio();  // remote audio flows only when something plays it
    sink.srcObject = stream; sink.muted = true; sink.play().catch(() => {});
    const context = new AudioContext();
    const url = URL.createObjectURL(new Blob([tap], {type: 'text/javascript'}));
    await context.audioWorklet.addModule(url);
    const source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, 'tap', {channelCount: 1,
      channelCountMode: 'explicit'});
    const parts = [];
    node.port.onmessage = e => parts.push(e.data);
    source.connect(node); node.connect(context.destination);
    await context.resume();
    window.__recording = {context, parts, sink, source, node};
    return context.sampleRate;
  };
  window.__recorded = () => {
    const {context, parts, source, node} = window.__recording;
    source.disconnect(); node.disconnect(); context.close();
    const all = new Int16Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const part of parts) for (const v of part)
      all[at++] = Math.max(-32768, Math.min(32767, Math.round(v * 32767)));
    const bytes = new Uint8Array(all.buffer);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768)
      text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
})();
"""


class Driver:
    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.pages: dict[int, Page] = {}

    async def command(self, do: str, args: dict[str, Any]) -> Any:
        if do == "page":
            return await self._new_page(bool(args.get("bypass_csp")), bool(args.get("any_ca")))
        page = self.pages[args.pop("page")]
        timeout = args.pop("timeout_s", 5) * 1000
        match do:
            case "open":
                url = args["url"] or BLANK
                await page.goto(url, timeout=timeout, wait_until="domcontentloaded")
            case "evaluate":
                return await page.evaluate(args["js"], args.get("arg"))
            case "click":
                await page.click(args["selector"], timeout=timeout)
            case "fill":
                await page.fill(args["selector"], args["text"], timeout=timeout)
            case "text":
                return await page.inner_text(args["selector"], timeout=timeout)
            case "wait":
                await page.wait_for_selector(args["selector"], state=args["state"], timeout=timeout)
            case "until":
                # not wait_for_function: that evaluates in the page, whose policy may forbid it
                end = time.monotonic() + timeout / 1000
                while not await page.evaluate(args["js"], args.get("arg")):
                    if time.monotonic() > end:
                        raise ValueError(f"not true within {timeout / 1000:g} s: {args['js']}")
                    await asyncio.sleep(0.05)
            case "screenshot":
                await page.screenshot(path=args["path"], full_page=args["full_page"])
            case "look":
                await page.set_viewport_size({"width": args["width"], "height": args["height"]})
                await page.emulate_media(color_scheme=args["scheme"], reduced_motion="reduce")
            case "offline":
                await page.context.set_offline(args["offline"])
            case "grant":
                await page.context.grant_permissions([args["permission"]])
            case "press":
                await page.keyboard.press(args["key"])
            case "record":
                return await page.evaluate("i => __record(i)", args["track"])
            case "recorded":
                text = await page.evaluate("() => __recorded()")
                await asyncio.to_thread(Path(args["path"]).write_bytes, base64.b64decode(text))
            case "close":
                await page.context.close()
            case _:
                raise ValueError(f"no command {do!r}")
        return None

    async def _new_page(self, bypass_csp: bool, any_ca: bool) -> int:
        context = await self.browser.new_context(bypass_csp=bypass_csp, ignore_https_errors=any_ca)
        await context.add_init_script(HOOKS)
        page = await context.new_page()
        number = len(self.pages)
        self.pages[number] = page

        async def blank(route: Any) -> None:
            await route.fulfill(content_type="text/html", body="<!doctype html><title>t</title>")

        await page.route(BLANK, blank)

        def tell(kind: str, text: str) -> None:
            say({"page": number, "kind": kind, "text": text[:2000]})

        page.on("console", lambda m: tell(f"console.{m.type}", m.text))
        page.on("pageerror", lambda e: tell("pageerror", str(e)))
        page.on("request", lambda r: tell("request", r.url))
        page.on("websocket", lambda w: tell("request", w.url))
        return number


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main() -> None:
    options = json.loads(sys.argv[1])
    flags = list(FLAGS)
    if options["microphone"]:
        flags.append(f"--use-file-for-fake-audio-capture={options['microphone']}")
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=4 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=flags
        )
        driver = Driver(browser)
        tasks: set[asyncio.Task[None]] = set()

        async def answer(request: dict[str, Any]) -> None:
            number = request.pop("id")
            try:
                result = await driver.command(request.pop("do"), request)
            except (Error, KeyError, ValueError, OSError) as e:
                say({"id": number, "error": f"{type(e).__name__}: {e}"[:4000]})
            else:
                say({"id": number, "result": result})

        say({"ready": True, "pid": os.getpid()})
        while line := await lines.readline():
            task = asyncio.create_task(answer(json.loads(line)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
