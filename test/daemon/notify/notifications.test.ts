import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { NotifyConfig } from "../../../src/config/snapshot.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import {
  desktopNotifier,
  linuxNotifier,
  macosNotifier,
} from "../../../src/daemon/notify/notification-command.ts";
import { createNotificationQueue } from "../../../src/daemon/notify/notification-queue.ts";
import { createNotifications, type Notifications } from "../../../src/daemon/notify/notifications.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { tellStories } from "../../support/stories.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { changeOf } from "../samples.ts";
import { createServiceRig, NEVER, overTb } from "../service-rig.ts";
import { failover, recovered, rejected, tbReady } from "../transitions.ts";

const ON: NotifyConfig = {
  enabled: true,
  failover: true,
  tbReady: true,
  configRejected: true,
  questions: true,
};

type Desk = Awaited<ReturnType<typeof desk>>;

interface DeskOptions {
  readonly settings?: NotifyConfig;
  readonly clock?: Clock;
  readonly environment?: Readonly<Record<string, string>>;
  /** What the program does in the end; null: there is none. */
  readonly last?: string | null;
}

/** Notifications by notify-send, which end with the test. */
function notifying(t: Scope, options: Partial<Parameters<typeof createNotifications>[0]>) {
  const logger = createRecordingLogger();
  const plain = { settings: ON, notifier: linuxNotifier, clock: systemClock, logger };
  const notifications = createNotifications({ environment: {}, ...plain, ...options });
  t.after(() => notifications[Symbol.asyncDispose]());
  return { notifications, logger };
}

async function desk(
  t: TestContext,
  { settings = ON, clock = systemClock, environment = {}, last = "" }: DeskOptions = {},
) {
  const override: { notifications: Notifications | null } = { notifications: null };
  t.after(() => override.notifications?.[Symbol.asyncDispose]());
  const folder = await temporaryFolder(t);
  const record = join(folder, "record");
  /** Puts a program there that writes down its arguments and then does this. */
  const install = async (then = ""): Promise<void> => {
    const program = join(folder, "notify-send");
    // Its variables come first. No argument holds a tab or the end of a line.
    const script = [
      "#!/bin/sh",
      `{ printf '%s\\t' "$DBUS_SESSION_BUS_ADDRESS" "$SECRET" "$@"; printf '\\n'; } >> '${record}'`,
      then,
      "",
    ].join("\n");
    await writeFile(program, script);
    await chmod(program, 0o700);
  };
  if (last !== null) await install(last);
  const variables = { PATH: folder, SECRET: "hunter2", ...environment };
  const { notifications, logger } = notifying(t, { settings, clock, environment: variables });
  override.notifications = notifications;
  return {
    notifications,
    logger,
    folder,
    install,
    /** The arguments of each run of the program so far, without those of the probe. */
    async shown() {
      const text = await readFile(record, "utf8").catch(() => "");
      const runs = text.split("\n").slice(0, -1);
      return runs.map((line) => line.split("\t").slice(0, -1)).filter((args) => !args.includes("--version"));
    },
  };
}

/** What is shown, without the variables and the options. */
async function titles(each: Desk): Promise<string[]> {
  return (await each.shown()).map((args) => args[4] ?? "");
}

test("a failover is shown by notify-send, which gets the session's address and no secret", async (t) => {
  const each = await desk(t, { environment: { DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/x" } });
  each.notifications.handle(failover("CORE"));
  const args = await eventually(async () => (await each.shown())[0]);
  assert.deepEqual(args, [
    "unix:path=/run/x",
    "",
    "--app-name=Mountaineer",
    "--",
    "CORE failed over to the fallback",
    "Thunderbolt is gone. The path stays the same.",
  ]);
  assert.deepEqual(each.notifications.conditions(), []);
  assert.deepEqual(each.logger.lines, []);
});

test("with notifications off, or one kind of them, nothing is run", async (t) => {
  for (const settings of [
    { ...ON, enabled: false },
    { ...ON, failover: false, tbReady: false, configRejected: false },
  ]) {
    const clock = createManualClock();
    const each = await desk(t, { settings, clock });
    for (const told of [failover("A"), tbReady("B"), rejected("x")]) each.notifications.handle(told);
    assert.equal(clock.pendingTimers, 0);
  }
  const off = await desk(t, { settings: { ...ON, enabled: false }, last: null });
  off.notifications.start();
  await off.notifications[Symbol.asyncDispose]();
  assert.deepEqual([off.notifications.conditions(), off.logger.lines], [[], []]);
});

test("a flood is shown at most once a second, several shares at a time", async (t) => {
  const clock = createManualClock();
  const each = await desk(t, { clock });
  const { notifications } = each;
  /** As many were shown, and the last one's program has ended. */
  const until = async (count: number): Promise<void> => {
    await eventually(async () => (await each.shown()).length === count);
    await eventually(() => clock.pendingTimers === 0);
  };
  for (let index = 0; index < 500; index += 1) notifications.handle(failover(`S${index}`));
  await clock.advance(300);
  await until(1);
  for (let index = 0; index < 500; index += 1) notifications.handle(failover("FLAP"));
  assert.equal(clock.pendingTimers, 1);
  await clock.advance(999);
  assert.equal((await each.shown()).length, 1);
  await clock.advance(1);
  await until(2);
  for (let index = 0; index < 500; index += 1) notifications.handle(tbReady("FLAP"));
  await clock.advance(999);
  assert.equal((await each.shown()).length, 2);
  await clock.advance(1);
  await until(3);
  assert.deepEqual(await titles(each), [
    "64 shares failed over to the fallback",
    "FLAP failed over to the fallback",
    "FLAP: Thunderbolt is ready",
  ]);
});

test("a missing program is reported once, and is a condition until there is one", async (t) => {
  const clock = createManualClock();
  const each = await desk(t, { clock, last: null });
  const { notifications, logger } = each;
  notifications.start();
  const condition = await eventually(() => notifications.conditions()[0]);
  assert.equal(condition.code, "notify_unavailable");
  assert.equal(condition.severity, "warning");
  assert.match(condition.title, /cannot start notify-send: it is not installed/);
  assert.match(condition.hint ?? "", /libnotify/);
  await each.install("echo denied >&2; exit 1");
  notifications.handle(failover("A"));
  await clock.advance(300);
  const later = await eventually(() =>
    notifications.conditions().find(({ title }) => title.includes("denied")),
  );
  assert.equal(later.since, condition.since);
  await each.install();
  notifications.handle(failover("B"));
  await clock.advance(1_000);
  await eventually(() => notifications.conditions().length === 0);
  assertEach(logger.lines, ({ level, message }) => [level, message], [
    ["warn", "notifications cannot be shown"],
  ]);
});

test("a failing program's reason is in the condition, bounded and neutralized", async (t) => {
  const each = await desk(t, { last: "printf 'no \\033[2Jsession %0400d' 0 >&2; exit 3" });
  each.notifications.handle(failover("A"));
  const condition = await eventually(() => each.notifications.conditions()[0]);
  assert.match(condition.title, /notify-send ended with 3: no \\x1b\[2Jsession 0000/);
  assert.ok(condition.title.length < 250);
  assert.match(condition.hint ?? "", /session of a desktop/);
});

test("a silent program is reported by how it ended", async (t) => {
  for (const [last, how] of [
    ["exit 4", /: notify-send ended with 4$/],
    ["kill -KILL $$", /: notify-send was ended by SIGKILL$/],
  ] as const) {
    const each = await desk(t, { last });
    each.notifications.handle(failover("A"));
    const condition = await eventually(() => each.notifications.conditions()[0]);
    assert.match(condition.title, how);
  }
});

test("a program that hangs is ended after three seconds, and only then the next is shown", async (t) => {
  const clock = createManualClock();
  const each = await desk(t, { clock, last: "while :; do /bin/sleep 60; done" });
  const { notifications } = each;
  notifications.handle(failover("A"));
  await clock.advance(300);
  await eventually(async () => (await each.shown()).length === 1);
  notifications.handle(tbReady("A"));
  await each.install();
  await clock.advance(2_999);
  assert.deepEqual([notifications.conditions(), (await each.shown()).length], [[], 1]);
  await clock.advance(600);
  const condition = await eventually(() => notifications.conditions()[0]);
  assert.match(condition.title, /did not end within 3 s/);
  await clock.advance(1_000);
  await eventually(() => notifications.conditions().length === 0);
  assert.deepEqual(await titles(each), ["A failed over to the fallback", "A: Thunderbolt is ready"]);
});

test("a stop does not wait for a hanging program, and nothing is shown after it", async (t) => {
  const clock = createManualClock();
  const each = await desk(t, { clock, last: "while :; do /bin/sleep 60; done" });
  each.notifications.handle(failover("A"));
  await clock.advance(300);
  await eventually(async () => (await each.shown()).length === 1);
  each.notifications.handle(failover("B"));
  // Time stands still: no deadline passes meanwhile.
  await each.notifications[Symbol.asyncDispose]();
  each.notifications.handle(failover("C"));
  assert.equal(clock.pendingTimers, 0);
  assert.equal((await each.shown()).length, 1);
  assert.deepEqual([each.notifications.conditions(), each.logger.lines], [[], []]);
});

test("B6 a reload turns notifications on and off, and one kind of them", async (t) => {
  const clock = createManualClock();
  const each = await desk(t, { settings: { ...ON, enabled: false }, clock, last: null });
  const { notifications } = each;
  const apply = async (before: string, after: string): Promise<void> => {
    const prepared = await notifications.applier.prepare(await changeOf(before, after), NEVER);
    prepared.commit();
  };
  const on = "[notify]\nenabled = true\n";
  await apply("", on);
  await eventually(() => notifications.conditions().length === 1);
  await apply(on, "");
  assert.deepEqual(notifications.conditions(), []);

  await each.install();
  await apply("", on);
  // The look for the program is over.
  await eventually(() => clock.pendingTimers === 0);
  notifications.handle(failover("A"));
  notifications.handle(tbReady("B"));
  await apply(on, `${on}failover = false\n`);
  await clock.advance(2_000);
  await eventually(async () => (await each.shown()).length > 0);
  assert.deepEqual(await titles(each), ["B: Thunderbolt is ready"]);
});

test("a service shows what it announces, from the edit on that turns notifications on", async (t) => {
  const each = await desk(t);
  const rig = await createServiceRig(t, { PATH: each.folder });
  const text = await rig.config(["CORE"], {
    global: ["auto_failback = true", "auto_failback_stable_secs = 0.1"],
  });
  await rig.write(text);
  const { service, until, transitions } = await rig.start();
  await until("CORE", overTb);
  const away = join(rig.folder, "CORE-away");
  const count = (name: string): number => transitions.filter((told) => told.name === name).length;
  await rename(join(rig.folder, "CORE-tb"), away);
  await eventually(() => count("share.failover") === 1);
  await rig.write(`${text}[global_]\n`);
  await eventually(() => count("config.rejected") === 1);
  assert.deepEqual(await each.shown(), [], "off by default");

  // That the preferred route is ready is untrue within a moment, and a slow machine would show it before that.
  const on = `${text}[notify]\nenabled = true\ntb_ready = false\n`;
  await rig.write(on);
  await eventually(() => count("config.applied") === 1);
  await rename(away, join(rig.folder, "CORE-tb"));
  await until("CORE", overTb);
  await rename(join(rig.folder, "CORE-tb"), away);
  await eventually(async () => (await titles(each)).length === 1);
  await rig.write(`${on}[global_]\n`);
  await eventually(async () => (await titles(each)).length === 2);
  const line = on.split("\n").length;
  assert.deepEqual(await titles(each), [
    "CORE failed over to the fallback",
    `The configuration was rejected (line ${line})`,
  ]);

  await rm(join(each.folder, "notify-send"));
  await rig.write(`${on}[global__]\n`);
  const unavailable = (): boolean =>
    service.control.status().global.conditions.some(({ code }) => code === "notify_unavailable");
  await eventually(unavailable);
  await rig.write(text);
  await eventually(() => !unavailable());
});

const notifySendMissing =
  spawnSync("notify-send", ["--version"]).error === undefined ? false : "notify-send is not installed";

test("without a bus, the real notify-send's refusal is the condition", {
  skip: notifySendMissing,
}, async (t) => {
  const folder = await temporaryFolder(t);
  const DBUS_SESSION_BUS_ADDRESS = `unix:path=${folder}/none`;
  const environment = { PATH: process.env["PATH"], DBUS_SESSION_BUS_ADDRESS };
  const { notifications } = notifying(t, { environment });
  notifications.handle(failover("A"));
  await eventually(() => notifications.conditions()[0]?.code === "notify_unavailable");
});

test("a cable that drops often is reported three times, then each tenth time", () => {
  const queue = createNotificationQueue();
  const titles = Array.from({ length: 41 }, (_, nth) => {
    queue.handle(failover("CORE"), () => true, nth * 60_000);
    return queue.take()?.title;
  });
  const dropped = [3, 10, 20, 30, 40].map(
    (times) => `CORE: Thunderbolt dropped ${times} times in ${times - 1} min`,
  );
  const moved = "CORE failed over to the fallback";
  assert.deepEqual(
    titles.filter((title) => title !== undefined),
    [moved, moved, ...dropped],
  );
});

function queueOf(...transitions: readonly ServiceTransition[]): ReturnType<typeof createNotificationQueue> {
  const queue = createNotificationQueue();
  for (const transition of transitions) queue.handle(transition, () => true, 0);
  return queue;
}

type Told = (share: string) => ServiceTransition;
const HAPPENS: readonly (readonly [words: RegExp, told: Told])[] = [
  [/^([\w ]+) fails over$/, (share) => failover(share)],
  [/^([\w ]+) fails over to tb$/, (share) => failover(share, "tb")],
  [/^([\w ]+) is ready$/, tbReady],
  [
    /^(\w+) is not ready$/,
    (share) => ({ name: "share.tb_ready_cleared", share, reason: "tb0 lost carrier" }),
  ],
  [/^([\w ]+) is back$/, recovered],
  [/^([\w ]+) is removed$/, (share) => ({ name: "share.unmanaged", share, left_mounted_over: "fallback" })],
  [/^([\w ]+) is asked for$/, (tool) => ({ name: "question.asked", tool, backend: "files", by: "user ben" })],
  [/^rejected "(.*)"$/, rejected],
  [
    /^applied$/,
    () => ({
      name: "config.applied",
      source: "file",
      generation: 2,
      sha256: "",
      summary: "settings reloaded",
    }),
  ],
];

tellStories<ReturnType<typeof queueOf>>(
  {
    starts: { "a queue": () => queueOf() },
    acts: HAPPENS.map(([words, told]) => [
      words,
      (queue, name = "") => queue.handle(told(name), () => true, 0),
    ]),
    facts: [
      [/^nothing$/, (queue) => [queue.take(), null]],
      [/^"(.*) \/ (.*)"$/, (queue, title, body) => [queue.take(), { title, body }]],
      [/^"(.*)"$/, (queue, title) => [queue.take()?.title, title]],
    ],
  },
  `
E6 a call that waits for the owner is named without its arguments, and several become one
  a queue, wipe is asked for: "wipe of files waits for your answer", nothing
  a queue, wipe is asked for, drop is asked for, cut is asked for
  : "3 calls wait for your answer / wipe of files, drop of files, cut of files"
each kind has its text
  a queue, CORE fails over: "CORE failed over to the fallback / Thunderbolt is gone. The path stays the same."
  BACK fails over to tb: "BACK failed over to Thunderbolt / The fallback is gone. The path stays the same."
  M is ready: "M: Thunderbolt is ready / It returns once its files are closed, or when you switch it."
  rejected "x.toml:3:7: no": "The configuration was rejected (line 3) / The last accepted configuration keeps running. See: mountaineer config validate"
  : nothing
the newest of each kind and share wins
  a queue, A fails over, A fails over to tb, A fails over: "A failed over to the fallback", nothing
  rejected "c.toml:1:1: x", rejected "c.toml:9:1: x": "The configuration was rejected (line 9)", nothing
a notification that no longer applies when it could be shown is not shown
  a queue, A fails over, A is back: nothing; A is back, A fails over: "A failed over to the fallback", nothing
  A is ready, A is not ready: nothing; A is not ready, A is ready: "A: Thunderbolt is ready", nothing
  A is ready, A is back: nothing; A is back, A is ready: "A: Thunderbolt is ready", nothing
  A fails over, A is removed: nothing; A is removed, A fails over: "A failed over to the fallback", nothing
  rejected "x", applied: nothing; applied, rejected "x": "The configuration was rejected", nothing
another share's news is its own
  a queue, A fails over, B is back: "A failed over to the fallback", nothing
more than two of a kind are one notification that names three
  a queue, A fails over, B fails over, C fails over, D fails over, E fails over, F is ready
  : "5 shares failed over to the fallback / A, B, C and 2 more", "F: Thunderbolt is ready"
  A fails over, B fails over, C fails over to tb: "A failed over to the fallback"
  : "B failed over to the fallback", "C failed over to Thunderbolt", nothing
  A is ready, B is ready, C is ready: "Thunderbolt is ready for 3 shares / A, B, C"
a name that is another kind's key does not collide with it
  a queue, x fails over, x is ready, tbReady x fails over: "x failed over to the fallback"
  : "x: Thunderbolt is ready", "tbReady x failed over to the fallback", nothing
`,
);

test("only the line of a rejected configuration is shown", () => {
  for (const reason of [
    "/home/ada/secret-place/config.toml:12:1: shares[0].password: found hunter2, expected a reference",
    "the server cannot start: token hunter2 refused",
    "",
  ]) {
    const told = queueOf(rejected(reason)).take();
    assert.doesNotMatch(JSON.stringify(told), /hunter2|secret-place|password/);
    assert.match(told?.title ?? "", reason.includes(":12:") ? /\(line 12\)$/ : /rejected$/);
  }
});

test("a hostile name is shortened, without control characters", () => {
  const hostile = `\u001b]0;x\u0007\u202e\u0000\n${"ü".repeat(5_000)}`;
  for (const queue of [
    queueOf(failover(hostile)),
    queueOf(tbReady(hostile)),
    queueOf(failover(hostile), failover("B"), failover("C")),
  ]) {
    const { title, body } = queue.take() ?? { title: "", body: "" };
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
    assert.doesNotMatch(title + body, /[\u0000-\u001f\u007f-\u009f\u202e]/u);
    assert.ok(title.length < 120 && body.length < 250);
  }
});

const HOSTILE = { title: "--help $(id) `id`", body: '-e "do shell script" \\n <b>&amp;</b>' };

test("on Linux texts are arguments behind the options, and the body is shown as written", () => {
  assert.deepEqual(linuxNotifier.input(HOSTILE), {
    args: [
      "--app-name=Mountaineer",
      "--",
      HOSTILE.title,
      '-e "do shell script" \\\\n &lt;b&gt;&amp;amp;&lt;/b&gt;',
    ],
    stdin: "",
  });
});

test("on macOS the script is always the same, and texts are its arguments", () => {
  const plain = macosNotifier.input({ title: "a", body: "b" });
  const hostile = macosNotifier.input(HOSTILE);
  assert.deepEqual(hostile.args, ["-", HOSTILE.title, HOSTILE.body]);
  assert.equal(hostile.stdin, plain.stdin);
  assert.equal(
    plain.stdin,
    "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run\n",
  );
});

test("the operating system's own program is used", () => {
  assert.equal(desktopNotifier, process.platform === "darwin" ? macosNotifier : linuxNotifier);
});
