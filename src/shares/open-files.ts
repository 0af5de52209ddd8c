// Owns what a scan for open files is, and picks the one for this system.
import { scanOpenFilesProc } from "./open-files-proc.ts";
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

const notHere: OpenFilesScan = async (requests) =>
  requests.map(({ paths }) =>
    paths.map(() => ({ ok: false, text: `open files cannot be listed on ${process.platform}` })),
  );

export const scanOpenFiles: OpenFilesScan =
  process.platform === "linux" ? (requests) => scanOpenFilesProc(requests, "/proc") : notHere;
