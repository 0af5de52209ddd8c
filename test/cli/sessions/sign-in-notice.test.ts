import assert from "node:assert/strict";
import { test } from "node:test";
import { restartBackend } from "../../../src/cli/sessions/sign-in-notice.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { startRig } from "../../api/management-rig.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("E1 a daemon restarts the backend after its sign-in; where it does not, a message explains how", async (t) => {
  const asked: unknown[] = [];
  const notes: string[] = [];
  const signedIn = async (home: string, name: string) =>
    restartBackend({ home, notify: (line) => notes.push(line), signal: t.signal }, name);
  const { home } = await startRig(t, {
    gateway: {
      async restart({ backends }) {
        asked.push(backends);
        if (asked.length > 1) throw new MountaineerError("gateway_off", "no gateway is configured");
        return { restarted: [...(backends ?? [])] };
      },
    },
  });
  await signedIn(await temporaryFolder(t), "web");
  await signedIn(home, "web");
  assert.deepEqual([asked, notes], [[["web"]], []]);
  await signedIn(home, "web");
  assert.match(
    notes.join(),
    /^the running daemon could not be notified: no gateway.*; mountaineer backends restart web does so$/,
  );
});
