import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { holdsOne } from "../../../../src/gateway/front/http/port-holder-linux.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

test("a descriptor that cannot be read, as it was closed meanwhile, hides none of the others", async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = new Set(["socket:[42]"]);
  // No link: it cannot be read as one.
  await writeFile(join(folder, "3"), "");
  assert.equal(await holdsOne(folder, sockets), false);
  await symlink("socket:[42]", join(folder, "4"));
  await writeFile(join(folder, "5"), "");
  assert.equal(await holdsOne(folder, sockets), true);
  assert.equal(await holdsOne(join(folder, "gone"), sockets), false);
});
