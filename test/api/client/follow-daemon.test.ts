import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type FollowNotice, followDaemon } from "../../../src/api/client/follow-daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startImposter } from "../imposter.ts";
import { startRig } from "../management-rig.ts";
import { sampleSyncEvent, scriptedConfig } from "../sample-config.ts";

interface Following {
  readonly notices: FollowNotice[];
  readonly cancel: AbortController;
  readonly ended: Promise<void>;
  /** "connected", "resumed", "lost: why", or the event's id. */
  told(): string[];
}

function follow(t: TestContext, home: string, options = {}): Following {
  const cancel = new AbortController();
  const notices: FollowNotice[] = [];
  const ended = (async () => {
    for await (const notice of followDaemon(home, { signal: cancel.signal, ...options }))
      notices.push(notice);
  })();
  ended.catch(() => {});
  t.after(() => cancel.abort());
  const told = () =>
    notices.map((notice) => {
      if (notice.kind === "event") return String(notice.id);
      if (notice.kind === "lost") return `lost: ${notice.reason}`;
      return notice.resumed ? "resumed" : "connected";
    });
  return { notices, cancel, ended, told };
}

const NONE = "lost: no daemon runs for this home";
const ENDED = "lost: the daemon ended the connection";

test("it waits for a daemon, hears it, and finds the next one", async (t) => {
  const home = await temporaryFolder(t);
  // It looks when the daemon is wholly up: earlier it would find one that has not said yet who it is.
  const clock = createManualClock();
  const following = follow(t, home, { clock });
  await eventually(() => following.told().length === 1);
  const first = scriptedConfig();
  const { server } = await startRig(t, { home, config: first });
  await passTimeUntil(clock, () => first.listenerCount === 1, 100);
  first.emit({ kind: "sync", event: sampleSyncEvent() });
  await eventually(() => following.told().length === 3);
  await server[Symbol.asyncDispose]();
  await passTimeUntil(clock, () => following.told().length >= 5, 100);
  const second = scriptedConfig();
  await startRig(t, { home, config: second });
  await passTimeUntil(clock, () => following.told().includes("connected", 5), 100);
  second.emit({ kind: "sync", event: sampleSyncEvent() });
  await eventually(() => following.told().at(-1) === "1");
  assert.deepEqual(following.told(), [NONE, "connected", "1", ENDED, NONE, "connected", "1"]);
  const connected = following.notices[1];
  assert.ok(connected?.kind === "connected");
  assert.equal(connected.client.pid, process.pid);
  following.cancel.abort();
  await following.ended;
});

test("the same daemon is resumed after the last event that was heard, another one is begun afresh", async (t) => {
  const home = await temporaryFolder(t);
  const asked: (string | null)[] = [];
  const frame = 'id: 41\ndata: {"kind":"gap"}\n\n';
  const onConnection = (socket: Socket): void => {
    socket.once("data", (request) => {
      asked.push(/^last-event-id: (.*)\r$/im.exec(String(request))?.[1] ?? null);
      // The third connection stays.
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n${frame}`);
      if (asked.length < 3) socket.end();
    });
  };
  await startImposter(t, onConnection, home);
  const life = (started_at: string) =>
    writeFile(
      join(home, "daemon.json"),
      JSON.stringify({ pid: 4711, socket: join(home, "mountaineer.sock"), version: "", started_at }),
    );
  await life("then");
  const cancel = new AbortController();
  const told: string[] = [];
  for await (const notice of followDaemon(home, { signal: cancel.signal })) {
    told.push(notice.kind === "connected" && notice.resumed ? "resumed" : notice.kind);
    if (notice.kind === "lost" && asked.length === 2) await life("later");
    if (notice.kind === "event" && asked.length === 3) cancel.abort();
  }
  assert.deepEqual(asked, [null, "41", null]);
  assert.deepEqual(told, ["connected", "event", "lost", "resumed", "event", "lost", "connected", "event"]);
});

test("waiting grows to 2 s, is told once, and ends at once when cancelled", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock();
  const waits: number[] = [];
  const counting = {
    ...clock,
    sleep(ms: number, signal?: AbortSignal) {
      waits.push(ms);
      return clock.sleep(ms, signal);
    },
  };
  const following = follow(t, home, { clock: counting });
  for (let round = 1; round <= 8; round++) {
    await eventually(() => waits.length === round && clock.pendingTimers === 1);
    await clock.advance(waits.at(-1) ?? 0);
  }
  assert.deepEqual(waits.slice(0, 8), [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
  assert.deepEqual(following.told(), [NONE]);
  following.cancel.abort();
  await following.ended;
  await eventually(() => clock.pendingTimers === 0);
});

test("a daemon that serves no events is waited for like one that is absent", async (t) => {
  const { home } = await startRig(t);
  const following = follow(t, home);
  await eventually(() => following.told().length === 1);
  assert.match(following.told()[0] ?? "", /^lost: .*not served/);
});

test("a signal that aborted before ends it before it began", async (t) => {
  const home = await temporaryFolder(t);
  const notices = await Array.fromAsync(followDaemon(home, { signal: AbortSignal.abort() }));
  assert.deepEqual(notices, []);
});
