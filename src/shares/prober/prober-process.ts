// The daemon's side of the prober: what it answers, from questions to its process.
import { isIP } from "node:net";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type FolderListing,
  type LinkLook,
  type Look,
  NO_LINK_ANSWER,
  type OpenFilesAnswer,
  type Prober,
} from "./prober.ts";
import { answerIn, ProberQuestions, type Question } from "./prober-questions.ts";

interface ProberOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A look without an answer for this long marks its mount. Default 1,000 ms. */
  readonly lookDeadlineMs?: number;
  /** Starts the process at once, where a first question is sure to come. */
  readonly startsAhead?: boolean;
}

const LOOK_DEADLINE_MS = 1_000;

/** How many questions about places below one path may hang: each may hold a process until its mount answers. */
const MOST_HANGING = 2;

const NO_FILES_ANSWER: OpenFilesAnswer = { ok: false, text: "the prober did not answer in time" };

/** Unless it is to start ahead, the process starts at the first question. It ends with this process, however that ends, and when it is idle. */
export function startProber(options: ProberOptions): Prober {
  const { clock, logger, lookDeadlineMs = LOOK_DEADLINE_MS } = options;
  const questions = new ProberQuestions({ clock, logger, lookDeadlineMs });
  if (options.startsAhead === true) questions.start();
  const looks = new Map<string, Look>();

  const readLink = async (path: string, waitMs: number): Promise<LinkLook> =>
    (await questions.answerTo("link", path, waitMs)) ?? NO_LINK_ANSWER;
  const folders =
    (wants: "names" | "look") =>
    (root: string, subpath: string, waitMs: number): Promise<FolderListing | null> =>
      orNull(questions.answerTo("folders", { root, subpath, wants }, waitMs));

  const lastLook = (mountId: string): Look => {
    const pending = questions.find("look", mountId);
    if (pending !== undefined) return { state: "pending", startedAtMs: pending.startedAtMs };
    return looks.get(mountId) ?? { state: "never" };
  };
  const askForLook = (mountId: string, path: string): Question => {
    const question = questions.ask(
      "look",
      mountId,
      () => path,
      (errno) => {
        const { startedAtMs } = question;
        const look = { state: "answered", startedAtMs, finishedAtMs: clock.monotonicMs() } as const;
        // If the child was lost with the look, nothing is known.
        looks.set(mountId, errno === undefined ? { state: "never" } : { ...look, errno });
      },
    );
    return question;
  };

  /** Questions about places that hang, and that nobody waits for any more: by their ids, the path that each began with. */
  const hanging = new Map<number, string>();

  return {
    async look(mountId, path, waitMs) {
      if (questions.disposed) return lastLook(mountId);
      const look = askForLook(mountId, path);
      if (!look.late) await questions.wait(look, waitMs);
      return lastLook(mountId);
    },
    lastLook,
    forget(mountId) {
      looks.delete(mountId);
      const look = questions.find("look", mountId);
      if (look !== undefined) questions.drop(look);
    },
    readLink,
    readLinks: (paths, waitMs) => Promise.all(paths.map((path) => readLink(path, waitMs))),
    folderExists: (path, waitMs) => orNull(questions.answerTo("folder", path, waitMs)),
    realPath: (path, waitMs) => orNull(questions.answerTo("realPath", path, waitMs)),
    fileLook: (path, waitMs) => orNull(questions.answerTo("fileLook", path, waitMs)),
    fileBytes: (path, waitMs) => orNull(questions.answerTo("fileBytes", path, waitMs)),
    exposures: (paths, waitMs) => orNull(questions.answerTo("exposures", paths, waitMs)),
    async places(paths, waitMs) {
      const [first = ""] = paths;
      const alike = [...hanging.values()].filter((path) => path === first);
      if (questions.disposed || alike.length >= MOST_HANGING) return null;
      const one = questions.ask(
        "places",
        JSON.stringify(paths),
        () => paths,
        () => hanging.delete(one.id),
      );
      if (one.late) return null;
      await questions.wait(one, waitMs);
      const isWanted = one.isOver || one.waiters.size > 0;
      if (!isWanted && one.late) hanging.set(one.id, first);
      else if (!isWanted) questions.drop(one);
      return answerIn<"places">(one) ?? null;
    },
    folders: folders("names"),
    folderLook: folders("look"),
    async openFiles(paths, exceptPids, waitMs, exceptGroups = []) {
      if (questions.disposed || paths.length === 0) return paths.map(() => NO_FILES_ANSWER);
      const about = JSON.stringify([paths, exceptPids, exceptGroups]);
      const one = questions.ask("openFiles", about, () => ({
        paths,
        exceptPids: [...exceptPids, ...questions.pids],
        exceptGroups,
      }));
      await questions.wait(one, waitMs);
      if (!one.isOver && one.waiters.size === 0) questions.drop(one);
      const answers = answerIn<"openFiles">(one);
      return paths.map((_, index) => answers?.[index] ?? NO_FILES_ANSWER);
    },
    async resolve(host, waitMs) {
      if (isIP(host) !== 0) return [host];
      return (await questions.answerTo("addresses", host, waitMs)) ?? [];
    },
    get pids() {
      return questions.pids;
    },
    async [Symbol.asyncDispose]() {
      if (!questions.disposed) await questions[Symbol.asyncDispose]();
    },
  };
}

/** What was asked, or null while nobody knows. */
async function orNull<Answer>(answer: Promise<Answer | undefined>): Promise<Answer | null> {
  return (await answer) ?? null;
}
