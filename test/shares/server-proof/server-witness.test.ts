import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { serverFolder, shareFiles } from "../../../src/shares/drivers/share-files.ts";
import { createKnownServers } from "../../../src/shares/server-proof/server-witness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("A13 a server of which nothing can be read now is not forgotten, or it would get a second id and never be known again", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const { folder } = shareFiles(stateFolder, "CORE");
  await mkdir(join(serverFolder(folder, "aaaaaaaaaaaaaaaa"), "server.json"), { recursive: true });
  await assert.rejects(createKnownServers(stateFolder).list({ name: "CORE" }), { code: "EISDIR" });
});
