// The child processes of the prober: which one carries a question, and what happens to one whose threads hang.

import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import type { ProberReply, ProberRequest, QuestionKind } from "./prober-protocol.ts";
import type { ProberWaits } from "./prober-waits.ts";

/** The child answers, or says what is late, far sooner; one that says nothing for so long is stopped or lost. */
const SILENT_CHILD_MS = 8_000;

const RESTART_MS = { first: 100, atMost: 5_000 };

const ENDING_AT_MOST_MS = 1_000;

/** Something asked and not answered yet, whichever child carries it. */
export interface Pending {
  readonly sequence: number;
  /** A name server may take half a minute; that says nothing about the child. */
  readonly mayTakeLong: boolean;
  carrier: Carrier | null;
  /** It hangs in a retired child, the only one that still waits for it. */
  late: boolean;
  /** Adds itself to the next message. */
  write(request: RequestDraft, nowMs: number): void;
  /** The child that it hung in has ended without an answer, or will not be waited for. */
  lost(reason: string): void;
  /** Late: is there anyone who wants the answer when it comes? */
  readonly keptWhenLate: boolean;
}

export interface Carrier {
  readonly child: ProberChild;
  readonly carried: Set<Pending>;
  heardAtMs: number;
  retired: boolean;
  /** Set while answers are outstanding. */
  silenceTimer: Timer | null;
}

interface RequestDraft {
  readonly questions: { [Kind in QuestionKind]?: (readonly [number, string])[] };
  readonly scans: { sequence: number; paths: readonly string[]; exceptPids: readonly number[] }[];
}

interface ProberCarriersParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookDeadlineMs: number;
  readonly waits: ProberWaits;
  readonly disposed: () => boolean;
  readonly takeAnswers: (carrier: Carrier, reply: ProberReply) => void;
}

export function createProberCarriers({
  clock,
  logger,
  lookDeadlineMs,
  waits,
  disposed,
  takeAnswers,
}: ProberCarriersParts) {
  const carriers = new Set<Carrier>();
  let toSend: Pending[] = [];
  let sendPlanned = false;
  let current: Carrier | null = null;

  // -- children ---------------------------------------------------------------------------------------------

  const startCurrent = (): void => {
    if (disposed() || current !== null) return;
    const carrier: Carrier = {
      child: startProberChild(lookDeadlineMs, {
        onReply: (reply) => hearing.hear(carrier, reply),
        onEnd: (why) => ended(carrier, why),
      }),
      carried: new Set(),
      heardAtMs: clock.monotonicMs(),
      retired: false,
      silenceTimer: null,
    };
    carriers.add(carrier);
    current = carrier;
    planSend();
  };

  /** It stays one of our processes until it has ended; one blocked in the kernel may take for ever. */
  const end = (carrier: Carrier): Promise<void> => {
    carrier.silenceTimer?.[Symbol.dispose]();
    return carrier.child.kill().then(() => void carriers.delete(carrier));
  };

  /** The child keeps only what hangs in it; a fresh one is asked the rest again. */
  const retire = (carrier: Carrier): void => {
    if (carrier.retired) return;
    carrier.retired = true;
    if (current === carrier) current = null;
    askAgain(carrier, (pending) => !pending.late);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (carrier.carried.size === 0) void end(carrier);
    else carrier.child.send({ questions: {}, scans: [], retire: true });
    startCurrent();
  };

  const askAgain = (carrier: Carrier, which: (pending: Pending) => boolean): void => {
    for (const pending of [...carrier.carried]) {
      if (!which(pending)) continue;
      carrier.carried.delete(pending);
      pending.carrier = null;
      toSend.push(pending);
    }
    planSend();
  };

  const ended = (carrier: Carrier, why: string): void => {
    carriers.delete(carrier);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (disposed()) return;
    for (const pending of [...carrier.carried]) if (pending.late) pending.lost(why);
    if (carrier.retired) return;
    carrier.retired = true;
    current = null;
    askAgain(carrier, () => true);
    restarting.restartLater(why);
  };
  const restarting = createRestarts({ clock, logger, startCurrent });

  const watchSilence = (carrier: Carrier): void => {
    carrier.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      carrier.silenceTimer = null;
      const owes = [...carrier.carried].some(({ mayTakeLong }) => !mayTakeLong);
      if (owes && clock.monotonicMs() - carrier.heardAtMs >= SILENT_CHILD_MS) {
        logger.warn("prober is silent", { pid: carrier.child.pid });
        void end(carrier);
        carrier.retired = true;
        current = null;
        askAgain(carrier, () => true);
        restarting.restartLater("it said nothing for too long");
      } else if (carrier.carried.size > 0) {
        watchSilence(carrier);
      }
    });
  };

  // -- messages ---------------------------------------------------------------------------------------------

  const planSend = (): void => {
    if (sendPlanned || disposed() || toSend.length === 0) return;
    sendPlanned = true;
    setImmediate(sendAll);
  };

  const sendAll = (): void => {
    sendPlanned = false;
    waits.closeTurn();
    if (current === null || disposed()) return;
    const nowMs = clock.monotonicMs();
    const draft: RequestDraft = { questions: {}, scans: [] };
    if (current.carried.size === 0) current.heardAtMs = nowMs;
    for (const pending of toSend) {
      pending.carrier = current;
      current.carried.add(pending);
      pending.write(draft, nowMs);
    }
    toSend = [];
    const request: ProberRequest = { ...draft, retire: false };
    current.child.send(request);
    if (current.silenceTimer === null && current.carried.size > 0) watchSilence(current);
  };
  const hearing = createHearing({ clock, logger, disposed, takeAnswers, end, retire, restarting });

  const ask = (pending: Pending): void => {
    toSend.push(pending);
    planSend();
  };

  /** Nobody waits for it any more. */
  const drop = (pending: Pending): void => {
    const { carrier } = pending;
    pending.carrier = null;
    if (carrier === null) {
      toSend = toSend.filter((other) => other !== pending);
      return;
    }
    carrier.carried.delete(pending);
    if (carrier.retired && carrier.carried.size === 0) void end(carrier);
  };

  const pids = (): number[] => [...carriers].map(({ child }) => child.pid).filter((pid) => pid > 0);

  const endAll = async (): Promise<void> => {
    restarting.cancelRestart();
    const ending = [...carriers].map(end);
    current = null;
    const patience = new AbortController();
    const tooLong = clock.sleep(ENDING_AT_MOST_MS, patience.signal).catch(() => {});
    await Promise.race([Promise.all(ending), tooLong]);
    patience.abort();
  };

  return { ask, startCurrent, drop, pids, endAll };
}

interface HearingParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disposed: () => boolean;
  readonly takeAnswers: (carrier: Carrier, reply: ProberReply) => void;
  readonly end: (carrier: Carrier) => Promise<void>;
  readonly retire: (carrier: Carrier) => void;
  readonly restarting: ReturnType<typeof createRestarts>;
}

/** What the children say. */
function createHearing({ clock, logger, disposed, takeAnswers, end, retire, restarting }: HearingParts) {
  const hear = (carrier: Carrier, reply: ProberReply): void => {
    if (disposed()) return;
    carrier.heardAtMs = clock.monotonicMs();
    restarting.endRestarts();
    takeAnswers(carrier, reply);
    if (reply.late.length > 0) hearLate(carrier, reply.late);
    if (carrier.retired && carrier.carried.size === 0) void end(carrier);
  };

  const hearLate = (carrier: Carrier, late: readonly number[]): void => {
    const lateOnes = new Set(late);
    for (const pending of [...carrier.carried]) {
      if (!lateOnes.has(pending.sequence)) continue;
      if (pending.keptWhenLate) pending.late = true;
      else pending.lost("the prober did not answer in time");
    }
    logger.warn("prober has late looks", { pid: carrier.child.pid, late: late.length });
    retire(carrier);
  };

  return { hear };
}

interface RestartsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly startCurrent: () => void;
}

/** Starts another child some time after one has ended, later each time. */
function createRestarts({ clock, logger, startCurrent }: RestartsParts) {
  let restarts = 0;
  let restartTimer: Timer | null = null;

  const restartLater = (why: string): void => {
    const delayMs = Math.min(RESTART_MS.first * 2 ** restarts, RESTART_MS.atMost);
    restarts++;
    logger.warn("prober ended", { why, restartInMs: delayMs });
    restartTimer = clock.setTimer(delayMs, startCurrent);
  };

  const endRestarts = (): void => {
    restarts = 0;
  };
  const cancelRestart = (): void => restartTimer?.[Symbol.dispose]();

  return { restartLater, endRestarts, cancelRestart };
}
