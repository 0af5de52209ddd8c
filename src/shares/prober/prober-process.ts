// The daemon's side of the prober: turns calls into questions for its process.
import { isIP } from "node:net";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { answerIn, type ProbeJob, ProbeQueue } from "./probe-queue.ts";
import { type MountCheck, NO_LINK_ANSWER, type OpenFilesAnswer, type Prober } from "./prober.ts";
import type { AnswerOf, ProbeKind, SubjectOf } from "./prober-protocol.ts";

interface ProberOptions extends RuntimeTools {
  /** A check without an answer for this long is late. Default 1,000 ms. */
  readonly checkDeadlineMs?: number;
  /** True: the process starts at once. Default: the process starts at the first question. */
  readonly startsAhead?: boolean;
}

const CHECK_DEADLINE_MS = 1_000;

/**
 * Maximum number of hanging `resolvePaths` questions with the same first path; limited, because each keeps a
 * process busy.
 */
const MOST_HANGING = 2;

const NO_FILES_ANSWER: OpenFilesAnswer = { ok: false, text: "the prober did not answer in time" };

/** The prober process ends when it is idle, and with the daemon, even if the daemon is killed. */
export function startProber(options: ProberOptions): Prober {
  const { clock, logger, checkDeadlineMs = CHECK_DEADLINE_MS } = options;
  const questions = new ProbeQueue({ clock, logger, checkDeadlineMs });
  if (options.startsAhead === true) questions.start();
  const checks = new Map<string, MountCheck>();

  const probing =
    <Kind extends ProbeKind>(kind: Kind) =>
    (subject: SubjectOf<Kind>, waitMs: number): Promise<AnswerOf<Kind> | null> =>
      questions.answerTo(kind, subject, waitMs);
  const readLink: Prober["readLink"] = async (path, waitMs) =>
    (await questions.answerTo("link", path, waitMs)) ?? NO_LINK_ANSWER;

  const lastCheck = (mountId: string): MountCheck => {
    const pending = questions.find("checkMount", mountId);
    if (pending !== undefined) return { state: "pending", startedAtMs: pending.startedAtMs };
    return checks.get(mountId) ?? { state: "never" };
  };
  const probeMount = (mountId: string, path: string): ProbeJob<"checkMount"> => {
    const question = questions.probe(
      "checkMount",
      mountId,
      () => path,
      (errno) => {
        const { startedAtMs } = question;
        // undefined: the child that made the check has ended.
        if (errno === undefined) checks.delete(mountId);
        else
          checks.set(mountId, { state: "answered", startedAtMs, finishedAtMs: clock.monotonicMs(), errno });
      },
    );
    return question;
  };

  /**
   * Hanging probes of the kind `resolvePaths` whose answer is no longer awaited. Keys: probe ids; values: the first
   * path of each probe.
   */
  const hanging = new Map<number, string>();

  return {
    async checkMount(mountId, path, waitMs) {
      await questions.wait(probeMount(mountId, path), waitMs);
      return lastCheck(mountId);
    },
    lastCheck,
    forget(mountId) {
      checks.delete(mountId);
      const check = questions.find("checkMount", mountId);
      if (check !== undefined) questions.drop(check);
    },
    readLink,
    readLinks: (paths, waitMs) => Promise.all(paths.map((path) => readLink(path, waitMs))),
    folderExists: probing("folder"),
    space: probing("space"),
    realPath: probing("realPath"),
    checkFile: probing("checkFile"),
    fileBytes: probing("fileBytes"),
    exposures: probing("exposures"),
    async resolvePaths(paths, waitMs) {
      const [first = ""] = paths;
      const alike = [...hanging.values()].filter((path) => path === first);
      if (alike.length >= MOST_HANGING) return null;
      const one = questions.probe(
        "resolvePaths",
        JSON.stringify(paths),
        () => paths,
        () => hanging.delete(one.id),
      );
      await questions.wait(one, waitMs);
      const isWanted = one.isOver || one.waiters.size > 0;
      if (!isWanted && one.late) hanging.set(one.id, first);
      else if (!isWanted) questions.drop(one);
      return answerIn(one) ?? null;
    },
    checkFolder: (root, subpath, waitMs) => questions.answerTo("checkFolder", { root, subpath }, waitMs),
    async openFiles(paths, exceptPids, waitMs, exceptGroups = []) {
      if (paths.length === 0) return [];
      const about = JSON.stringify([paths, exceptPids, exceptGroups]);
      const one = questions.probe("openFiles", about, () => ({
        paths,
        exceptPids: [...exceptPids, ...questions.pids],
        exceptGroups,
      }));
      await questions.wait(one, waitMs);
      if (!one.isOver && one.waiters.size === 0) questions.drop(one);
      const answers = answerIn(one);
      return paths.map((_, index) => answers?.[index] ?? NO_FILES_ANSWER);
    },
    async resolve(host, waitMs) {
      if (isIP(host) !== 0) return [host];
      return (await questions.answerTo("addresses", host, waitMs)) ?? [];
    },
    get pids() {
      return questions.pids;
    },
    [Symbol.asyncDispose]: () => questions[Symbol.asyncDispose](),
  };
}
