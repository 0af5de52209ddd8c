// `npm run bundle`: makes the bundle, which needs no installed Node, and its installers. Writes into .tmp/bundle/out, or --output.
// --platform NAME (again for more; default: this machine's); --only tar,run,deb,rpm,formula; --without-mount-program or
// --mount-program FILE; --level OF COMPRESSION; --url ADDRESS of the archives, for the formula.

import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { deb, formula, rpm, selfExtracting, sha256OfFile, tarXz } from "./bundle/artifacts.ts";
import { composeFolder } from "./bundle/folder.ts";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { builtProgram } from "./mount/build.ts";
import { run } from "./mount/run.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    platform: { type: "string", multiple: true, default: [`${process.platform}-${process.arch}`] },
    only: { type: "string", default: "tar,run,deb,rpm,formula" },
    output: { type: "string", default: path.join(root, ".tmp/bundle/out") },
    "mount-program": { type: "string" },
    "without-mount-program": { type: "boolean", default: false },
    level: { type: "string", default: "9" },
    url: { type: "string", default: "https://example.invalid/mountaineer" },
    version: { type: "string" },
  },
});
const output = path.resolve(values.output);
const wanted = values.only.split(",");
const manifest = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as { version: string };
const version = values.version ?? manifest.version;
const epochSeconds = Number(
  process.env["SOURCE_DATE_EPOCH"] || (await run("git", ["log", "-1", "--format=%ct"], { cwd: root })),
);
const platforms = values.platform.map((name) => {
  const found = PLATFORMS.find((one) => one.name === name);
  if (found === undefined)
    throw new Error(`no platform ${name}; there are ${PLATFORMS.map((one) => one.name).join(", ")}`);
  return found;
});

await mkdir(output, { recursive: true });
const made: string[] = [];
for (const platform of platforms) {
  const folder = path.join(output, `mountaineer-${version}-${platform.name}`);
  const given = values["mount-program"];
  const mountProgram =
    given !== undefined
      ? { program: given, licences: "" }
      : values["without-mount-program"]
        ? null
        : await builtProgram(root, platform);
  await composeFolder({ root, folder, platform, version, mountProgram, epochSeconds });
  const source = { folder, output, platform, version, epochSeconds, level: Number(values.level) };
  const isLinux = platform.go.GOOS === "linux";
  if (wanted.includes("tar")) made.push(await tarXz(source));
  if (wanted.includes("run")) made.push(await selfExtracting(source));
  if (isLinux && wanted.includes("deb")) made.push(await deb(source));
  if (isLinux && wanted.includes("rpm")) made.push(await rpm(source));
}
if (wanted.includes("formula")) made.push(await formula(output, version, values.url, platforms));
for (const file of made)
  process.stdout.write(`${await sha256OfFile(file)}  ${path.relative(output, file)}\n`);
