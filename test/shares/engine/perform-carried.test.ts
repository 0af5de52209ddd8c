// A mount step over a host that goes away meanwhile.
import assert from "node:assert/strict";
import test from "node:test";
import type { ProbeRequest, ProbeResult } from "../../../src/network/probe/probe-result.ts";
import type { MountDriver, MountOutcome } from "../../../src/shares/drivers/mount-driver.ts";
import { mountWatched } from "../../../src/shares/engine/perform-carried.ts";
import { createLogons } from "../../../src/shares/logons/logons.ts";
import type { ShareSeen } from "../../../src/shares/policy/share-seen.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { POLICY, SPEC } from "../world.ts";

const DEADLINE_MS = 20_000;
type Verdict = Pick<ProbeResult, "verdict" | "reason">;
const ANSWERS: Verdict = { verdict: "answers", reason: "negotiated" };
const SILENT: Verdict = { verdict: "silent", reason: "connect_timeout" };
const LINK_DOWN: Verdict = { verdict: "gone", reason: "link_down" };

function failureOf({ outcome }: Played): Extract<MountOutcome, { ok: false }> | null {
  return outcome?.ok === false ? outcome : null;
}

interface Played {
  readonly clock: ManualClock;
  readonly asked: ProbeRequest[];
  /** null: the step goes on. */
  outcome: MountOutcome | null;
}

/** A driver that mounts nothing until it is cancelled, and a host that answers in turn as told, then as told last. */
function play(verdicts: readonly Verdict[], lastAnswerMs = 1): Played {
  const clock = createManualClock();
  const asked: ProbeRequest[] = [];
  const driver: Pick<MountDriver, "name" | "mount"> = {
    name: "rclone",
    async mount(_share, _route, { deadlineMs, signal }) {
      await clock.sleep(deadlineMs, signal).catch(() => {});
      return { ok: false, reason: "timed_out", text: signal.aborted ? "cancelled" : "not in time" };
    },
  };
  const seen: Pick<ShareSeen, "routes"> = {
    routes: {
      tb: { atMs: 0, probe: resultOf("10.0.1.2", ANSWERS, lastAnswerMs) },
      fallback: { atMs: 0, probe: resultOf("10.0.2.2", ANSWERS, lastAnswerMs) },
    },
  };
  const played: Played = { clock, asked, outcome: null };
  void mountWatched(
    {
      clock,
      hostProber: {
        async probe({ host }, request) {
          const verdict = verdicts[Math.min(asked.length, verdicts.length - 1)] ?? ANSWERS;
          asked.push(request);
          if (verdict === SILENT) await clock.sleep(request.timeoutMs);
          return resultOf(host, verdict, 1);
        },
        networkChanged() {},
      },
      // Nothing that a mount step asks itself.
      prober: {} as Prober,
      logons: createLogons(clock),
    },
    { spec: SPEC, policy: POLICY, driver: driver as MountDriver },
    seen as ShareSeen,
    { kind: "mount", route: "tb" },
    { deadlineMs: DEADLINE_MS, signal: new AbortController().signal },
  ).then((outcome) => {
    played.outcome = outcome;
  });
  return played;
}

function resultOf(host: string, verdict: Verdict, tookMs: number): ProbeResult {
  return {
    ...verdict,
    tcpAnswered: verdict.verdict === "answers",
    address: host,
    interfaceName: null,
    localAddress: null,
    serverGuid: null,
    text: `${host}: ${verdict.reason}`,
    tookMs,
  };
}

test("What to mount: a mount over a link of this machine that goes down is given up at the next look, not at its deadline", async () => {
  const played = play([LINK_DOWN]);
  await played.clock.advance(300);
  assert.deepEqual(played.outcome, {
    ok: false,
    reason: "unreachable",
    text: "the host went away: 10.0.1.2: link_down",
  });
});

test("What to mount: a mount over a host that falls silent is given up after two probes without an answer", async () => {
  const played = play([ANSWERS, SILENT]);
  await played.clock.advance(300 + 300 + 300 + 300);
  assert.equal(played.outcome, null);
  await played.clock.advance(300);
  assert.equal(failureOf(played)?.reason, "unreachable");
});

test("What to mount: one lost probe gives up no mount", async () => {
  const played = play([SILENT, ANSWERS, SILENT, ANSWERS]);
  await played.clock.advance(DEADLINE_MS - 1);
  assert.equal(played.outcome, null);
  await played.clock.advance(1);
  assert.equal(failureOf(played)?.text, "not in time");
});

test("What to mount: a host far away, which cannot answer within the short time, has the usual one", async () => {
  const played = play([ANSWERS], 240);
  await played.clock.advance(1000);
  assert.deepEqual([...new Set(played.asked.map(({ timeoutMs }) => timeoutMs))], [POLICY.connectTimeoutMs]);
  assert.equal(played.outcome, null);
});

test("What to mount: when the step has ended its host is asked no more", async () => {
  const played = play([ANSWERS]);
  await played.clock.advance(DEADLINE_MS);
  const { length } = played.asked;
  await played.clock.advance(5000);
  assert.equal(played.asked.length, length);
  assert.equal(played.clock.pendingTimers, 0);
});
