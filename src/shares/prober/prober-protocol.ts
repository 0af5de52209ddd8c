// The messages between the daemon and its prober process: all that is asked in one turn is one message.
import type { Exposure } from "../../runtime/files/exposure.ts";
import type { FileBytes, FileLook, FolderListing, LinkLook, OpenFilesAnswer, PathPlace } from "./prober.ts";

/** What is asked by kind, and what is answered: the errno's name for a `look` that failed. */
interface Questions {
  look(path: string): string | null;
  link(path: string): LinkLook;
  folder(path: string): boolean;
  folders(folder: FoldersQuestion): FolderListing;
  realPath(path: string): string | null;
  places(paths: readonly string[]): readonly PathPlace[];
  fileLook(path: string): FileLook;
  fileBytes(path: string): FileBytes;
  exposures(paths: readonly string[]): readonly Exposure[];
  addresses(host: string): readonly string[];
  openFiles(request: OpenFilesRequest): readonly OpenFilesAnswer[];
}

export type QuestionKind = keyof Questions;
export type SubjectOf<Kind extends QuestionKind> = Parameters<Questions[Kind]>[0];
export type AnswerOf<Kind extends QuestionKind> = ReturnType<Questions[Kind]>;

/** All of `openFiles` that come in one message are answered by one walk over the processes. */
export type SingleKind = Exclude<QuestionKind, "openFiles">;

/**
 * How many of each kind may be under way in a prober process, which has a thread for each. Looks at mounts and at
 * folders of routes hang when what they look at hangs, and one that waits for such a one would be late without its own
 * fault. getaddrinfo, for `addresses`, ends by itself, after many seconds.
 */
export const AT_ONCE: Readonly<Record<SingleKind, number>> = {
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

export type Ask<Kind extends QuestionKind = QuestionKind> = {
  [K in Kind]: { readonly id: number; readonly kind: K; readonly subject: SubjectOf<K> };
}[Kind];

export interface ProberRequest {
  readonly asks: readonly Ask[];
  /** The child keeps what has begun, drops the rest, and is asked nothing more. */
  readonly retire: boolean;
}

export interface ProberReply {
  /** By the ids of what was asked; each is of that question's kind. */
  readonly answers: readonly (readonly [id: number, answer: unknown])[];
  /** Ids of what has begun, and has no answer for longer than the deadline: this child has threads that hang. */
  readonly late: readonly number[];
  /** Why the child ends itself, or null. */
  readonly crash: string | null;
}
