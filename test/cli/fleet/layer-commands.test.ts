import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  found,
  invited,
  joined,
  LACKS_SERVER,
  type Machine,
  machines,
  present,
} from "../../fleet/enrollment/homes.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";

const REAL = { skip: LACKS_SERVER };

async function homeOf({ home, sections }: Machine): Promise<TestHome> {
  const fleet = Object.entries(sections[0] ?? {}).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const config = ["[server]", `port = ${await freePort()}`, "[fleet]", ...fleet, ""].join("\n");
  return createTestHome({ home, config });
}

test("G1 one machine signs what all have in common; the others run it, and cannot sign", REAL, async (t) => {
  const [first, second] = present(await machines(t, 2));
  const membership = await found(first);
  const open = await invited(first, membership);
  await joined(second, open.code);
  await open.guest;
  const [nas, laptop] = [await homeOf(first), await homeOf(second)];
  await using _one = await nas.startMonitor();
  const killed = await laptop.startMonitor();
  const file = join(first.home, "fleet.toml");
  const text = (name: string): string => `[backends.${name}]\nurl = "http://127.0.0.1:9/${name}"\n`;
  const set = async (content: string, ...more: string[]) => {
    await writeFile(file, content);
    return nas.cli(["fleet", "config", "set", file, ...more]);
  };
  const published = async (home: TestHome): Promise<readonly string[]> =>
    ((await home.status()).backends ?? []).map(({ name }) => name);
  await eventually(async () => /laptop/.test((await nas.cli(["fleet", "status"])).stdout));

  const wrong = await set(`${text("one")}instances = "nobody"\n[server]\nport = 1\n`);
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /fleet\.toml:4:\d+: server/);
  const done = await set(text("one"));
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /revision 1 is the fleet's configuration[\s\S]*nas runs it[\s\S]*laptop runs it/);
  for (const home of [nas, laptop]) assert.deepEqual(await published(home), ["one"]);
  assert.match((await laptop.cli(["fleet", "status"])).stdout, /config +the fleet's revision 1/);

  const got = await laptop.cli(["fleet", "config", "get"]);
  assert.equal(got.stdout, text("one"));
  assert.match(got.stderr, /revision 1, signed on nas at .* by U/);
  await writeFile(join(second.home, "mine.toml"), text("two"));
  const refused = await laptop.cli(["fleet", "config", "set", join(second.home, "mine.toml")]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /operator's key of this fleet is not on this machine[\s\S]*fleet init/);
  const diff = await laptop.cli(["fleet", "config", "diff", join(second.home, "mine.toml")]);
  assert.match(diff.stdout, /^--- revision 1\n[\s\S]*-\[backends\.one\][\s\S]*\+\[backends\.two\]/);

  const second2 = JSON.parse((await set(text("two"), "--json")).stdout);
  assert.deepEqual([second2.revision, second2.changed], [2, true]);
  assert.match((await set(text("two"))).stdout, /revision 2 says so already/);
  // Wherever it was in keeping it.
  await killed.kill9();
  await using _two = await laptop.startMonitor();
  await eventually(async () => (await published(laptop)).join() === "two");
  const back = await nas.cli(["fleet", "config", "rollback", "1"]);
  assert.match(back.stdout, /revision 3 is the fleet's configuration/, back.stderr);
  await eventually(async () => (await published(laptop)).join() === "one");
  const listed = JSON.parse((await laptop.cli(["fleet", "config", "history", "--json"])).stdout);
  assert.deepEqual(
    listed.map(({ revision, by }: { revision: number; by: string }) => [revision, by]),
    [
      [3, "nas"],
      [2, "nas"],
      [1, "nas"],
    ],
  );
  assert.equal((await nas.cli(["fleet", "config", "rollback", "9"])).code, 2);
  // Who leaves has nothing of it any more.
  assert.equal((await laptop.cli(["fleet", "leave"])).code, 0);
  await eventually(async () => (await published(laptop)).length === 0);
});
