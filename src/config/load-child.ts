// Owns the process in which one configuration is read; it gets a request on stdin, answers on stdout and ends.
import { text } from "node:stream/consumers";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { loadConfig, parseConfig } from "./load.ts";
import type { ApartReply, ApartRequest } from "./load-apart.ts";
import { writeStarter } from "./starter.ts";

async function read({ path, place, content, writeStarter: wanted }: ApartRequest): Promise<ApartReply> {
  try {
    const starterWritten = wanted && !(await writeStarter(path)).existed;
    const loaded =
      content === null
        ? await loadConfig(path, place)
        : await parseConfig(Buffer.from(content, "base64"), path, place);
    return { kind: "loaded", loaded, starterWritten };
  } catch (error) {
    if (error instanceof MountaineerError) {
      return { kind: "failed", code: error.code, message: error.message, hint: error.hint };
    }
    return { kind: "failed", code: "internal", message: errorText(error), hint: null };
  }
}

// Only `loadConfigApart` starts this program, with a request of that type.
process.stdout.write(JSON.stringify(await read(JSON.parse(await text(process.stdin)) as ApartRequest)));
