// The interface of a scan for open files.
import type { OpenFilesAnswer } from "./prober.ts";

export interface OpenFilesRequest {
  /** Absolute, as the kernel spells them: no symlinks inside. */
  readonly paths: readonly string[];
  readonly exceptPids: readonly number[];
}

/** Answers all requests by one walk over the processes; one answer per path. Never touches the paths. */
export type OpenFilesScan = (
  requests: readonly OpenFilesRequest[],
) => Promise<readonly (readonly OpenFilesAnswer[])[]>;
