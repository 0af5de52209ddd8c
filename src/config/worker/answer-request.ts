// Answers the requests to read and edit configurations, in the process that was started for them.
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { isBeingWritten } from "../../runtime/files/open-writer.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { requireAnswer } from "../../runtime/process/answering-disk.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { askedEdit } from "../edit/key-path.ts";
import { type SavedConfig, saveContent, saveEdit } from "../edit/save.ts";
import { writeStarter } from "../edit/starter.ts";
import { type FormerContent, whyHeld } from "../layer/held-file.ts";
import { layerMistakes, parseLayered } from "../layer/parse-layered.ts";
import { readConfigBytes } from "../read/load.ts";
import type { ApartReply, ApartRequest } from "./apart-messages.ts";

/** Answers a request; a failure is an answer, too. Never rejects. */
export async function answerRequest(request: ApartRequest): Promise<ApartReply> {
  try {
    return await perform(request);
  } catch (error) {
    if (error instanceof MountaineerError) {
      return { kind: "failed", code: error.code, message: error.message, hint: error.hint };
    }
    return { kind: "failed", code: "internal", message: errorText(error), hint: null };
  }
}

async function perform(request: ApartRequest): Promise<ApartReply> {
  const { path, place, layer = null } = request;
  switch (request.kind) {
    case "load": {
      const { content, writeStarter: wanted, before = null } = request;
      const starterWritten = wanted && !(await writeStarter(path)).existed;
      const bytes = content === null ? await readWritten(path, before) : Buffer.from(content, "base64");
      const loaded = await parseLayered(bytes, path, place, layer);
      const held = await whyHeld({ bytes, loaded }, before, { path, place, layer });
      return { kind: "loaded", loaded, held, sha256: sha256Of(bytes), starterWritten };
    }
    case "edit":
      return saved(await saveEdit({ ...request, edits: request.edits.map(askedEdit) }));
    case "replace":
      return saved(await saveContent({ ...request, bytes: Buffer.from(request.content, "base64") }));
    case "check_layer":
      return { kind: "checked", mistakes: await layerMistakes(request.text, path, place) };
  }
}

function saved(result: SavedConfig): ApartReply {
  if (!result.ok) return { kind: "saved", saved: result };
  const { bytes, ...rest } = result;
  return { kind: "saved", saved: { ...rest, content: Buffer.from(bytes).toString("base64") } };
}

const LOOK_AGAIN_MS = 250;
const LONGEST_WAIT_MS = 3_000;

/** The file's content, once no other program is writing it; waits for at most 3 s. */
async function readWritten(path: string, before: FormerContent | null): Promise<Uint8Array> {
  await requireAnswer(path);
  for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
    const bytes = await readConfigBytes(path);
    const isKnown = before === null || Buffer.from(bytes).toString("base64") === before.content;
    if (isKnown || waitedMs >= LONGEST_WAIT_MS || !(await isBeingWritten(path))) return bytes;
    await systemClock.sleep(LOOK_AGAIN_MS);
  }
}
