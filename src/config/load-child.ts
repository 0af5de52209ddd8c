// Owns the process in which one configuration is read or edited; it gets a request on stdin, answers on stdout and
// ends.
import { text } from "node:stream/consumers";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { configEdit } from "./key-path.ts";
import { loadConfig, parseConfig } from "./load.ts";
import type { ApartReply, ApartRequest } from "./load-apart.ts";
import { type SavedConfig, saveContent, saveEdit } from "./save.ts";
import { writeStarter } from "./starter.ts";

async function answer(request: ApartRequest): Promise<ApartReply> {
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
  const { path, place } = request;
  switch (request.kind) {
    case "load": {
      const { content, writeStarter: wanted } = request;
      const starterWritten = wanted && !(await writeStarter(path)).existed;
      const loaded =
        content === null
          ? await loadConfig(path, place)
          : await parseConfig(Buffer.from(content, "base64"), path, place);
      return { kind: "loaded", loaded, starterWritten };
    }
    case "edit": {
      const edits = request.edits.map(({ key, value }) => configEdit(key, value));
      const { seenSha256, known = null } = request;
      return saved(await saveEdit({ path, place, seenSha256, known, edits }));
    }
    case "replace": {
      const bytes = Buffer.from(request.content, "base64");
      const { seenSha256, known = null } = request;
      return saved(await saveContent({ path, place, seenSha256, known, bytes }));
    }
  }
}

function saved(result: SavedConfig): ApartReply {
  if (!result.ok) return { kind: "saved", saved: result };
  const { changed, snapshot, bytes } = result;
  return {
    kind: "saved",
    saved: { ok: true, changed, snapshot, content: Buffer.from(bytes).toString("base64") },
  };
}

// Only `load-apart.ts` starts this program, with a request of that type.
process.stdout.write(JSON.stringify(await answer(JSON.parse(await text(process.stdin)) as ApartRequest)));
