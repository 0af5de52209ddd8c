// What the Sync screen hears of its daemon, and in which order.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DaemonClient } from "../../src/api/client/client.ts";
import type { FollowNotice } from "../../src/api/client/follow-daemon.ts";
import { createDaemonSource } from "../../src/tui/daemon-source.ts";
import type { DaemonLink } from "../../src/tui/link/daemon-link.ts";
import { eventually } from "../support/eventually.ts";
import { settle } from "../support/manual-clock.ts";

const eventOf = (details: string) =>
  ({ kind: "event", id: 1, event: { kind: "sync", event: { details } } }) as unknown as FollowNotice;

test("the whole picture comes first and what happened meanwhile after it; then each thing as it happens, to the end", async () => {
  const answer = Promise.withResolvers<object>();
  // Of a client its answer to one question is asked for.
  const client = { ask: () => answer.promise } as unknown as DaemonClient;
  let hear = (_notice: FollowNotice): void => {};
  let isHeard = false;
  const link = {
    connection: { get: () => ({ kind: "waiting", reason: "no daemon runs" }) },
    listen(listener: (notice: FollowNotice) => void) {
      hear = listener;
      isHeard = true;
      return () => {
        isHeard = false;
      };
    },
  } as unknown as DaemonLink;
  const heard: string[] = [];
  const stop = new AbortController();
  const following = createDaemonSource({ link, configPath: null }).follow(
    {
      present: ({ config_path }) => void heard.push(`present ${config_path}`),
      absent: (reason) => void heard.push(`absent: ${reason}`),
      event: ({ details }) => void heard.push(details),
      state: () => void heard.push("state"),
    },
    stop.signal,
  );
  hear({ kind: "connected", client, resumed: false });
  hear(eventOf("first"));
  await settle();
  assert.deepEqual(heard, []);
  answer.resolve({ config_path: "/c" });
  await eventually(() => heard.length === 2);
  hear(eventOf("second"));
  hear({ kind: "lost", reason: "it ended" });
  assert.deepEqual(heard, ["present /c", "first", "second", "absent: no daemon runs"]);
  stop.abort();
  await following;
  assert.equal(isHeard, false);
});
