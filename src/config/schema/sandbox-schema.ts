// The keys of a backend's sandbox.
import * as z from "zod";
import { parsePath } from "../paths.ts";
import { choiceDoc, document, listDoc, readText, toggleKey } from "./schema-keys.ts";

const SANDBOX_KINDS = ["bubblewrap"] as const;

function foldersKey(meaning: string, example: string) {
  const doc = listDoc({ type: "list of paths", absent: "none", meaning, example });
  return document(z.array(readText(parsePath)).default([]), doc);
}

export const sandboxSchema = z.strictObject({
  kind: document(
    z.enum(SANDBOX_KINDS),
    choiceDoc({
      choices: SANDBOX_KINDS,
      meaning: "What keeps the program apart: `bubblewrap`, on Linux, by namespaces of its own.",
      example: '"bubblewrap"',
    }),
  ),
  read: foldersKey(
    "Folders and files that it may read, besides the system's own (`/usr`, `/etc`, `/opt`).",
    '["~/projects"]',
  ),
  write: foldersKey("Folders and files that it may read and write.", '["~/.npm"]'),
  network: toggleKey(
    false,
    "Let it use the network; `npx` and `uvx` need that to download a server. Without it not even this machine is reached.",
  ),
});
