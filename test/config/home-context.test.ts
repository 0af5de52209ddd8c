import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { getConfigValue } from "../../src/config/edit/effective.ts";
import { parseConfigKey } from "../../src/config/edit/key-path.ts";
import { findHomeContext, locateConfig } from "../../src/config/home-context.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function code(wanted: string) {
  return (error: unknown): boolean => error instanceof MountaineerError && error.code === wanted;
}

test("an empty $HOME is ignored, and never means the current folder", (t) => {
  const { HOME } = process.env;
  t.after(() => {
    if (HOME === undefined) delete process.env["HOME"];
    else process.env["HOME"] = HOME;
  });
  process.env["HOME"] = "";
  assert.equal(findHomeContext({ HOME: "" }, "linux").userHome, userInfo().homedir);
});

test("the home is ~/.mountaineer unless $MOUNTAINEER_HOME names another", () => {
  const homeContext = findHomeContext({ HOME: "/home/ann" }, "linux");
  assert.equal(homeContext.home, "/home/ann/.mountaineer");
  assert.equal(homeContext.userHome, "/home/ann");
  assert.equal(homeContext.defaultMountRoot, "/home/ann/.mountaineer/volumes");
  assert.notEqual(homeContext.userName, "");
  assert.equal(
    findHomeContext({ HOME: "/home/ann", MOUNTAINEER_HOME: "" }, "linux").home,
    "/home/ann/.mountaineer",
  );
  const moved = findHomeContext({ HOME: "/home/ann", MOUNTAINEER_HOME: "/srv/m/" }, "linux");
  assert.equal(moved.home, "/srv/m");
  assert.equal(moved.defaultMountRoot, "/srv/m/volumes");
  assert.equal(findHomeContext({ HOME: "/home/ann", MOUNTAINEER_HOME: "~/m" }, "linux").home, "/home/ann/m");
  assert.equal(findHomeContext({ HOME: "/home/ann", MOUNTAINEER_HOME: "m" }, "linux").home, resolve("m"));
  assert.equal(findHomeContext({ HOME: "/Users/ann" }, "darwin").defaultMountRoot, "/Volumes");
});

test("shares are linked in ~/Shares, and in $MOUNTAINEER_HOME where that is set", async () => {
  const rootIn = async (own: string): Promise<unknown> => {
    const homeContext = findHomeContext({ HOME: "/home/ann", MOUNTAINEER_HOME: own }, "linux");
    const loaded = await parseConfig(new Uint8Array(), "config.toml", homeContext);
    assert.ok(loaded.ok);
    const said = await getConfigValue(
      { bytes: new Uint8Array(), format: "toml", homeContext },
      parseConfigKey("global.shares_root"),
    );
    return [loaded.snapshot.config.global.sharesRoot, said];
  };
  const usual = ["/home/ann/Shares", { source: "default", value: "~/Shares" }];
  assert.deepEqual(await rootIn(""), usual);
  assert.deepEqual(await rootIn("/home/ann/.mountaineer/"), usual);
  assert.deepEqual(await rootIn("/srv/m"), ["/srv/m/Shares", { source: "default", value: "/srv/m/Shares" }]);
});

test("the file is config.toml, else config.yaml or config.yml", async (t) => {
  const home = await temporaryFolder(t);
  const homeContext = findHomeContext({ HOME: home, MOUNTAINEER_HOME: home });
  const path = join(home, "config.toml");
  assert.deepEqual(await locateConfig(homeContext, null), { path, format: "toml", exists: false });
  for (const [name, format] of [
    ["config.yml", "yaml"],
    ["config.yaml", "yaml"],
    ["config.toml", "toml"],
  ] as const) {
    const own = await temporaryFolder(t);
    await writeFile(join(own, name), "");
    const found = await locateConfig(findHomeContext({ HOME: home, MOUNTAINEER_HOME: own }), null);
    assert.deepEqual(found, { path: join(own, name), format, exists: true });
  }
});

test("a home that does not exist yet has no configuration", async (t) => {
  const folder = await temporaryFolder(t);
  const homeContext = findHomeContext({ HOME: folder, MOUNTAINEER_HOME: join(folder, "none", "yet") });
  assert.equal((await locateConfig(homeContext, null)).exists, false);
});

test("two configurations in one home are an error that names both", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "");
  await symlink("nowhere", join(home, "config.yml"));
  const homeContext = findHomeContext({ HOME: home, MOUNTAINEER_HOME: home });
  await assert.rejects(locateConfig(homeContext, null), code("config_ambiguous"));
  await assert.rejects(locateConfig(homeContext, null), /config\.toml.*config\.yml/);
  assert.equal((await locateConfig(homeContext, join(home, "config.toml"))).exists, true);
});

test("--config moves the file, not the home", async (t) => {
  const home = await temporaryFolder(t);
  const homeContext = findHomeContext({ HOME: home, MOUNTAINEER_HOME: join(home, "m") });
  assert.deepEqual(await locateConfig(homeContext, "~/x.yaml"), {
    path: join(home, "x.yaml"),
    format: "yaml",
    exists: false,
  });
  assert.equal((await locateConfig(homeContext, "some/c.TOML")).path, resolve("some/c.TOML"));
  assert.equal(homeContext.home, join(home, "m"));
  await assert.rejects(locateConfig(homeContext, "config.json"), code("config_unreadable"));
  await assert.rejects(locateConfig(homeContext, "/dev/fd/3"), code("config_unreadable"));
});
