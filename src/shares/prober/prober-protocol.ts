// The messages between the daemon and its prober process: all questions of one turn of the event loop are one message.
import type { Exposure } from "../../runtime/files/exposure.ts";
import type {
  FileBytes,
  FileCheck,
  FolderCheck,
  LinkReading,
  OpenFilesAnswer,
  ResolvedPath,
  Space,
} from "./prober.ts";

/** Subject and answer of each kind of question. A failed `checkMount` is answered with the errno's name. */
interface Questions {
  checkMount(path: string): string | null;
  link(path: string): LinkReading;
  folder(path: string): boolean;
  space(path: string): Space | null;
  checkFolder(folder: FolderQuestion): FolderCheck;
  realPath(path: string): string | null;
  resolvePaths(paths: readonly string[]): readonly ResolvedPath[];
  checkFile(path: string): FileCheck;
  fileBytes(path: string): FileBytes;
  exposures(paths: readonly string[]): readonly Exposure[];
  addresses(host: string): readonly string[];
  openFiles(request: OpenFilesRequest): readonly OpenFilesAnswer[];
}

export type ProbeKind = keyof Questions;
export type SubjectOf<Kind extends ProbeKind> = Parameters<Questions[Kind]>[0];
export type AnswerOf<Kind extends ProbeKind> = ReturnType<Questions[Kind]>;

/** The kinds that are answered one by one. All `openFiles` of a message are answered by one walk over the processes. */
export type SingleKind = Exclude<ProbeKind, "openFiles">;

/**
 * How many probes of each kind may run at once in a prober process; each has its own thread. Checks of mounts and of
 * folders of routes may hang and keep their threads, so these kinds have more. `addresses` needs few: getaddrinfo gives
 * up after many seconds.
 */
export const AT_ONCE: Readonly<Record<SingleKind, number>> = {
  checkMount: 8,
  link: 2,
  folder: 8,
  space: 1,
  checkFolder: 1,
  realPath: 1,
  resolvePaths: 2,
  checkFile: 1,
  fileBytes: 1,
  exposures: 1,
  addresses: 2,
};

interface FolderQuestion {
  readonly root: string;
  readonly subpath: string;
}

export interface OpenFilesRequest {
  /** Absolute real paths, without symlinks inside. */
  readonly paths: readonly string[];
  readonly exceptPids: readonly number[];
  /** Leaders of process groups: open files of their groups and descendants are left out. Absent: none. */
  readonly exceptGroups?: readonly number[];
}

/** Answers all requests by one walk over the processes; one answer per path. Never touches the paths. */
export type OpenFilesScan = (
  requests: readonly OpenFilesRequest[],
) => Promise<readonly (readonly OpenFilesAnswer[])[]>;

export type ProbeCall<Kind extends ProbeKind = ProbeKind> = {
  [K in Kind]: { readonly id: number; readonly kind: K; readonly subject: SubjectOf<K> };
}[Kind];

export interface ProberRequest {
  readonly calls: readonly ProbeCall[];
  /** True: the child gets no further probes, finishes those in progress, and drops the others. */
  readonly retire: boolean;
}

export interface ProberReply {
  /** Answers, each with the id of its question. */
  readonly answers: readonly (readonly [id: number, answer: unknown])[];
  /** Ids of questions in progress for longer than the deadline: their threads hang. */
  readonly late: readonly number[];
  /** The error for which the child ends itself; null: none. */
  readonly crash: string | null;
}
