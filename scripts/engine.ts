// `npm run engine`: builds the engine, the rclone that this project brings, and puts it where the daemon of this checkout
// finds it (rclone/rclone). --all: builds it for every platform, and puts none there. --fs: builds mountaineer-fs instead, and
// puts it beside rclone, for the driver `fs`. --test [MODULE…]: plays the Go tests of all that it changes and of `fs`, or of these modules, instead.
import path from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { builtEngine, builtFileSystem, goEnvironment, placeEngine, placeProgram } from "./engine/build.ts";
import { goProgram } from "./engine/compiler.ts";
import { run } from "./engine/run.ts";
import { changedPackages, engineSource, MODULES } from "./engine/source.ts";

const root = path.resolve(import.meta.dirname, "..");
const place = path.join(root, "rclone");
const { values, positionals } = parseArgs({
  options: {
    test: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    fs: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
/** rclone's own tests of a backend, on servers in containers, and one that fails in the unchanged source of 1.76.0, too. */
const LEFT_OUT = "^TestIntegration|^TestWriteFileHandleReadonly$";

if (values.test) {
  const go = await goProgram(root);
  const source = await engineSource(root, go, goEnvironment());
  const modules = positionals.length === 0 ? [...MODULES.map(({ name }) => name), "fs"] : positionals;
  if (modules.includes("fs")) {
    const own = { cwd: path.join(source, "engine"), env: goEnvironment() };
    await run(go, ["vet", "./fs/..."], own);
    process.stdout.write(await run(go, ["test", "./fs/..."], own));
  }
  for (const name of modules.filter((module) => module !== "fs"))
    process.stdout.write(
      await run(go, ["test", "-vet=off", "-skip", LEFT_OUT, ...(await changedPackages(root, name))], {
        cwd: path.join(source, name),
        env: goEnvironment(),
      }),
    );
} else if (values.fs) {
  const program = await builtFileSystem(root);
  await placeProgram(place, program);
  process.stdout.write(
    `mountaineer-fs is built: ${path.relative(process.cwd(), path.join(place, path.basename(program)))}\n`,
  );
} else if (values.all) {
  for (const platform of PLATFORMS) {
    const { program } = await builtEngine(root, platform);
    process.stdout.write(`${platform.name}: ${path.relative(process.cwd(), program)}\n`);
  }
} else {
  const name = `${process.platform}-${process.arch}`;
  const platform = PLATFORMS.find((one) => one.name === name);
  if (platform === undefined) throw new Error(`the engine is not built for ${name}`);
  const engine = await builtEngine(root, platform);
  await placeEngine(place, engine);
  process.stdout.write(
    `rclone ${engine.version} is built: ${path.relative(process.cwd(), path.join(place, "rclone"))}\n`,
  );
}
