// The keys of a backend's sandbox.
import { defaulted, required, toggleKey } from "./schema-keys.ts";
import { choice, list, path } from "./value-types.ts";

const SANDBOX_KINDS = ["bubblewrap"] as const;

const folders = list(path, { type: "list of paths" });

export const sandboxKeys = {
  kind: required("runs", choice(SANDBOX_KINDS), {
    meaning: "What keeps the program apart: `bubblewrap`, on Linux, by namespaces of its own.",
    example: '"bubblewrap"',
  }),
  read: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "Folders and files that it may read, besides the system's own (`/usr`, `/etc`, `/opt`).",
    example: '["~/projects"]',
  }),
  write: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "Folders and files that it may read and write.",
    example: '["~/.npm"]',
  }),
  network: toggleKey(
    "runs",
    false,
    "Let it use the network; `npx` and `uvx` need that to download a server. Without it not even this machine is reached.",
  ),
};
