import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { getConfigValue } from "../../src/config/edit/effective.ts";
import { parseConfigKey } from "../../src/config/edit/key-path.ts";
import { findPlace, locateConfig } from "../../src/config/locate.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function code(wanted: string) {
  return (error: unknown): boolean => error instanceof MountaineerError && error.code === wanted;
}

test("an empty $HOME is none, and never the folder one stands in", (t) => {
  const { HOME } = process.env;
  t.after(() => {
    if (HOME === undefined) delete process.env["HOME"];
    else process.env["HOME"] = HOME;
  });
  process.env["HOME"] = "";
  assert.equal(findPlace({ HOME: "" }, "linux").userHome, userInfo().homedir);
});

test("the home is ~/.mountaineer unless $MOUNTAINEER_HOME names another", () => {
  const place = findPlace({ HOME: "/home/ann" }, "linux");
  assert.equal(place.home, "/home/ann/.mountaineer");
  assert.equal(place.userHome, "/home/ann");
  assert.equal(place.defaultMountRoot, "/home/ann/.mountaineer/volumes");
  assert.notEqual(place.userName, "");
  assert.equal(
    findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: "" }, "linux").home,
    "/home/ann/.mountaineer",
  );
  const moved = findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: "/srv/m/" }, "linux");
  assert.equal(moved.home, "/srv/m");
  assert.equal(moved.defaultMountRoot, "/srv/m/volumes");
  assert.equal(findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: "~/m" }, "linux").home, "/home/ann/m");
  assert.equal(findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: "m" }, "linux").home, resolve("m"));
  assert.equal(findPlace({ HOME: "/Users/ann" }, "darwin").defaultMountRoot, "/Volumes");
});

test("shares are linked in ~/Shares, and in $MOUNTAINEER_HOME where that is set", async () => {
  const rootIn = async (own: string): Promise<unknown> => {
    const place = findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: own }, "linux");
    const loaded = await parseConfig(new Uint8Array(), "config.toml", place);
    assert.ok(loaded.ok);
    const said = await getConfigValue(
      { bytes: new Uint8Array(), format: "toml", place },
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
  const place = findPlace({ HOME: home, MOUNTAINEER_HOME: home });
  const path = join(home, "config.toml");
  assert.deepEqual(await locateConfig(place, null), { path, format: "toml", exists: false });
  for (const [name, format] of [
    ["config.yml", "yaml"],
    ["config.yaml", "yaml"],
    ["config.toml", "toml"],
  ] as const) {
    const own = await temporaryFolder(t);
    await writeFile(join(own, name), "");
    const found = await locateConfig(findPlace({ HOME: home, MOUNTAINEER_HOME: own }), null);
    assert.deepEqual(found, { path: join(own, name), format, exists: true });
  }
});

test("a home that is not there yet has no configuration", async (t) => {
  const folder = await temporaryFolder(t);
  const place = findPlace({ HOME: folder, MOUNTAINEER_HOME: join(folder, "none", "yet") });
  assert.equal((await locateConfig(place, null)).exists, false);
});

test("two configurations in one home are an error that names both", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "");
  await symlink("nowhere", join(home, "config.yml"));
  const place = findPlace({ HOME: home, MOUNTAINEER_HOME: home });
  await assert.rejects(locateConfig(place, null), code("config_ambiguous"));
  await assert.rejects(locateConfig(place, null), /config\.toml.*config\.yml/);
  assert.equal((await locateConfig(place, join(home, "config.toml"))).exists, true);
});

test("--config moves the file, not the home", async (t) => {
  const home = await temporaryFolder(t);
  const place = findPlace({ HOME: home, MOUNTAINEER_HOME: join(home, "m") });
  assert.deepEqual(await locateConfig(place, "~/x.yaml"), {
    path: join(home, "x.yaml"),
    format: "yaml",
    exists: false,
  });
  assert.equal((await locateConfig(place, "some/c.TOML")).path, resolve("some/c.TOML"));
  assert.equal(place.home, join(home, "m"));
  await assert.rejects(locateConfig(place, "config.json"), code("config_unreadable"));
  await assert.rejects(locateConfig(place, "/dev/fd/3"), code("config_unreadable"));
});
