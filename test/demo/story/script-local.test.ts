// The story on plain folders, which works everywhere, and its failures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { leftBehind, startDemo } from "../demo-process.ts";
import { testStory } from "../story-contract.ts";

testStory("local", false);

test("a story that fails ends with 1, names the step, and leaves nothing behind", async (t) => {
  const demo = await startDemo(t, ["--script", "--driver", "local"], { PATH: "/nowhere" });
  const end = await demo.ended;
  assert.equal(end.code, 1, demo.stdout() + demo.stderr());
  assert.match(demo.stdout(), /^✗ .*start the daemon.*cannot start cat/m);
  assert.match(demo.stdout(), /the story ended at step 1 of 21/);
  assert.deepEqual(await leftBehind(demo.temporary), []);
});

test("real SMB where it is unavailable is a clear refusal that names the packages to install", async (t) => {
  const demo = await startDemo(t, ["--driver", "smb"], { PATH: "/nowhere" });
  assert.equal((await demo.ended).code, 1);
  assert.match(
    demo.stderr(),
    /real SMB is not available here: .*smbd.* not found \(apt install samba fuse3\)/,
  );
  assert.match(demo.stderr(), /hint: mountaineer demo --driver local/);
  assert.deepEqual(await leftBehind(demo.temporary), []);
});

test("a configuration of the user's is refused, not ignored", async (t) => {
  const demo = await startDemo(t, ["--config", "/etc/other.toml"]);
  assert.equal((await demo.ended).code, 2);
  assert.match(demo.stderr(), /the demo has its own configuration/);
});
