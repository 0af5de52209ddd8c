// Picks the platform's scan for open files.
import { createOpenFilesScanDarwin } from "./open-files-darwin.ts";
import { scanOpenFilesProc } from "./open-files-proc.ts";
import type { OpenFilesScan } from "./prober-protocol.ts";

const notHere: OpenFilesScan = async (requests) =>
  requests.map(({ paths }) =>
    paths.map(() => ({ ok: false, text: `open files cannot be listed on ${process.platform}` })),
  );

export const scanOpenFiles: OpenFilesScan =
  process.platform === "linux"
    ? (requests) => scanOpenFilesProc(requests, "/proc")
    : process.platform === "darwin"
      ? createOpenFilesScanDarwin()
      : notHere;
