// The messages between the daemon and its prober process: one list per kind, so that a thousand looks are one compact
// message and one answer.
import type { Exposure } from "../../runtime/files/exposure.ts";
import type { FileBytes, FileLook, FolderListing, LinkLook, OpenFilesAnswer, PathPlace } from "./prober.ts";

/**
 * The questions about one path, and the type of each answer. `addresses` is about a host name, `exposures` and `places` about several
 * paths, `folders` about a root and a path below it; the answer to `look` is the errno's name, or null when the look
 * succeeded.
 */
export interface AnswerOf {
  readonly look: string | null;
  readonly link: LinkLook;
  readonly folder: boolean;
  readonly folders: FolderListing;
  readonly realPath: string | null;
  readonly places: readonly PathPlace[];
  readonly fileLook: FileLook;
  readonly fileBytes: FileBytes;
  readonly exposures: readonly Exposure[];
  readonly addresses: readonly string[];
}

export type QuestionKind = keyof AnswerOf;

/**
 * How many of each kind may be under way in a prober process, which has a thread for each. Looks at mounts and at
 * folders of routes hang when what they look at hangs, and one that waits for such a one would be late without its own
 * fault. getaddrinfo, for `addresses`, ends by itself, after many seconds.
 */
export const AT_ONCE: Readonly<Record<QuestionKind, number>> = {
  look: 8,
  link: 2,
  folder: 8,
  folders: 1,
  realPath: 1,
  places: 2,
  fileLook: 1,
  fileBytes: 1,
  exposures: 1,
  addresses: 2,
};

interface FoldersQuestion {
  readonly root: string;
  readonly subpath: string;
  /** Whether to list its folders, or only to check that it is there. */
  readonly wants: "names" | "look";
}

/** A question of the kind `folders` as a subject, which is a text. */
export function foldersSubject({ root, subpath, wants }: FoldersQuestion): string {
  return `${root}\0${subpath}\0${wants}`;
}

export function readFoldersSubject(subject: string): FoldersQuestion {
  const [root = "", subpath = "", wants] = subject.split("\0");
  return { root, subpath, wants: wants === "look" ? wants : "names" };
}

/** The same for a question of the kind `exposures` or `places`. */
export function pathsSubject(paths: readonly string[]): string {
  return paths.join("\0");
}

export function readPathsSubject(subject: string): readonly string[] {
  return subject.split("\0");
}

export interface OpenFilesRequest {
  /** Absolute, as the kernel spells them: no symlinks inside. */
  readonly paths: readonly string[];
  readonly exceptPids: readonly number[];
  /** Leaders of process groups: their groups and descendants are left out. Absent: none. */
  readonly exceptGroups?: readonly number[];
}

/** Answers all requests by one walk over the processes; one answer per path. Never touches the paths. */
export type OpenFilesScan = (
  requests: readonly OpenFilesRequest[],
) => Promise<readonly (readonly OpenFilesAnswer[])[]>;

export interface ScanQuestion extends OpenFilesRequest {
  readonly sequence: number;
}

export interface ProberRequest {
  readonly questions: {
    readonly [Kind in QuestionKind]?: readonly (readonly [sequence: number, subject: string])[];
  };
  /** Answered by one walk over the processes. */
  readonly scans: readonly ScanQuestion[];
  /** The child keeps what has begun, drops the rest, and is asked nothing more. */
  readonly retire: boolean;
}

export interface ProberReply {
  readonly answers: {
    readonly [Kind in QuestionKind]: (readonly [sequence: number, answer: AnswerOf[Kind]])[];
  };
  readonly scans: (readonly [sequence: number, answers: readonly OpenFilesAnswer[]])[];
  /** Questions that have begun and are late: their threads hang. */
  readonly late: number[];
  /** Why the child ends itself, or null. */
  readonly crash: string | null;
}

export const QUESTION_KINDS: readonly QuestionKind[] = [
  "look",
  "link",
  "folder",
  "folders",
  "realPath",
  "places",
  "fileLook",
  "fileBytes",
  "exposures",
  "addresses",
];
