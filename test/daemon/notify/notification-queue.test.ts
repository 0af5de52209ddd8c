import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import {
  desktopNotifier,
  linuxNotifier,
  macosNotifier,
} from "../../../src/daemon/notify/notification-command.ts";
import {
  createNotificationQueue,
  type NotificationQueue,
} from "../../../src/daemon/notify/notification-queue.ts";
import { failover, recovered, rejected, tbReady } from "../transitions.ts";

const ALL = (): boolean => true;

function queueOf(...transitions: readonly ServiceTransition[]): NotificationQueue {
  const queue = createNotificationQueue();
  for (const transition of transitions) queue.hear(transition, ALL);
  return queue;
}

function titles(queue: NotificationQueue): string[] {
  const told: string[] = [];
  for (let next = queue.take(); next !== null; next = queue.take()) told.push(next.title);
  return told;
}

test("each kind has its words", () => {
  const queue = queueOf(
    failover("CORE"),
    failover("BACK", "tb"),
    tbReady("MEDIA"),
    rejected("x.toml:3:7: no"),
  );
  assert.deepEqual(
    [queue.take(), queue.take(), queue.take(), queue.take(), queue.take()],
    [
      {
        title: "CORE failed over to the fallback",
        body: "Thunderbolt is gone. The path stays the same.",
      },
      {
        title: "BACK failed over to Thunderbolt",
        body: "The fallback is gone. The path stays the same.",
      },
      {
        title: "MEDIA: Thunderbolt is ready",
        body: "It goes back when nothing on it is open, or when you switch it.",
      },
      {
        title: "The configuration is rejected (line 3)",
        body: "What ran before runs on. See: mountaineer config validate",
      },
      null,
    ],
  );
});

test("the newest of each kind and share wins", () => {
  assert.deepEqual(titles(queueOf(failover("A"), failover("A", "tb"), failover("A"))), [
    "A failed over to the fallback",
  ]);
  assert.deepEqual(titles(queueOf(rejected("c.toml:1:1: x"), rejected("c.toml:9:1: x"))), [
    "The configuration is rejected (line 9)",
  ]);
});

test("what is no longer so by the time it could be shown is not shown", () => {
  const share = "A";
  const rows: [ServiceTransition, ServiceTransition][] = [
    [failover(share), recovered(share)],
    [tbReady(share), { name: "share.tb_ready_cleared", share, reason: "tb0 lost carrier" }],
    [tbReady(share), recovered(share)],
    [failover(share), { name: "share.unmanaged", share, left_mounted_over: "fallback" }],
    [
      rejected("x"),
      { name: "config.applied", source: "file", generation: 2, sha256: "", summary: "settings reloaded" },
    ],
  ];
  for (const [before, after] of rows) {
    assert.deepEqual(titles(queueOf(before, after)), [], after.name);
    assert.equal(titles(queueOf(after, before)).length, 1, after.name);
  }
  assert.equal(titles(queueOf(failover("A"), recovered("B"))).length, 1, "another share's news is its own");
});

test("what is told of a rejected configuration is the line alone", () => {
  for (const reason of [
    "/home/ada/secret-place/config.toml:12:1: shares[0].password: found hunter2, expected a reference",
    "the backend cannot start: token hunter2 refused",
    "",
  ]) {
    const told = queueOf(rejected(reason)).take();
    assert.doesNotMatch(JSON.stringify(told), /hunter2|secret-place|password/);
    assert.match(told?.title ?? "", reason.includes(":12:") ? /\(line 12\)$/ : /rejected$/);
  }
});

test("what is not wanted is neither taken up nor kept", () => {
  const queue = createNotificationQueue();
  queue.hear(failover("A"), (kind) => kind === "tbReady");
  queue.hear(tbReady("A"), (kind) => kind === "tbReady");
  assert.equal(queue.size, 1);
  queue.keepOnly(() => false);
  assert.equal(queue.take(), null);
});

test("more than two of a kind are one notification that names three", () => {
  const queue = queueOf(...["A", "B", "C", "D", "E"].map((name) => failover(name)), tbReady("F"));
  assert.deepEqual(queue.take(), {
    title: "5 shares failed over to the fallback",
    body: "A, B, C and 2 more",
  });
  assert.equal(queue.take()?.title, "F: Thunderbolt is ready");
  assert.deepEqual(queueOf(tbReady("A"), tbReady("B"), tbReady("C")).take(), {
    title: "Thunderbolt is ready for 3 shares",
    body: "A, B, C",
  });
});

test("a flood is bounded: the oldest go", () => {
  const queue = queueOf(...Array.from({ length: 10_000 }, (_, index) => failover(`S${index}`)));
  assert.equal(queue.size, 64);
  assert.deepEqual(queue.take(), {
    title: "64 shares failed over to the fallback",
    body: "S9936, S9937, S9938 and 61 more",
  });
});

test("a hostile name is shortened, and drives nothing", () => {
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
  // A name that is another kind's key does not collide with it.
  assert.equal(titles(queueOf(failover("x"), tbReady("x"), failover("tbReady x"))).length, 3);
});

const HOSTILE = { title: "--help $(id) `id`", body: '-e "do shell script" \\n <b>&amp;</b>' };

test("on Linux texts are arguments behind the options, and the body shows as it is written", () => {
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

test("the system's own way is taken", () => {
  assert.equal(desktopNotifier, process.platform === "darwin" ? macosNotifier : linuxNotifier);
});
