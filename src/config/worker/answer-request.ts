// Answers the requests to read and edit configurations, in the process that was started for them.
import { errorText, isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { untilWritten } from "../../runtime/files/open-writer.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";
import { requestedEdit } from "../edit/key-path.ts";
import { type SavedConfig, saveContent, saveEdit } from "../edit/save.ts";
import { writeStarter } from "../edit/starter.ts";
import { whySuspect } from "../history/suspect-file.ts";
import { readConfigBytes } from "../read/config-bytes.ts";
import { parseConfig } from "../read/load.ts";
import type { WorkerReply, WorkerRequest } from "./worker-messages.ts";

/** Longest wait for another program, ms: a request must be answered within 10 s. */
const MOST_MS = 3_000;

/** Answers a request; a failure is also an answer. Never rejects. */
export async function answerRequest(request: WorkerRequest): Promise<WorkerReply> {
  try {
    return await perform(request);
  } catch (error) {
    if (error instanceof MountaineerError) {
      return { kind: "failed", code: error.code, message: error.message, hint: error.hint };
    }
    return { kind: "failed", code: "internal", message: errorText(error), hint: null };
  }
}

async function perform(request: WorkerRequest): Promise<WorkerReply> {
  const { path, homeContext } = request;
  switch (request.kind) {
    case "load": {
      const { content, writeStarter: wanted, inode, isMovedIn } = request;
      const starterWritten = wanted && !(await writeStarter(path)).existed;
      const given = content === null ? null : Buffer.from(content, "base64");
      if (given === null) await requireResponsiveDisk(path);
      if (inode !== undefined) await untilWritten(path, Math.min(request.waitMs ?? MOST_MS, MOST_MS));
      const bytes = given ?? (await readConfigBytes(path));
      const now =
        inode === undefined ? null : await readConfigBytes(path).catch(recoverFrom(isOwnError, null));
      const isStale = now !== null && sha256Of(now) !== sha256Of(bytes);
      const loaded = await parseConfig(bytes, path, homeContext);
      const suspect = inode === undefined ? null : await whySuspect(request, bytes, inode, isMovedIn);
      return { kind: "loaded", loaded, held: suspect, isStale, sha256: sha256Of(bytes), starterWritten };
    }
    case "edit":
      return saved(await saveEdit({ ...request, edits: request.edits.map(requestedEdit) }));
    case "replace":
      return saved(await saveContent({ ...request, bytes: Buffer.from(request.content, "base64") }));
  }
}

function saved(result: SavedConfig): WorkerReply {
  if (!result.ok) return { kind: "saved", saved: result };
  const { bytes, ...rest } = result;
  return { kind: "saved", saved: { ...rest, content: Buffer.from(bytes).toString("base64") } };
}
