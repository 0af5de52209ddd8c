// `npm run mount`: builds mountaineer-fs, the program that mounts shares, and puts it where the daemon of this checkout finds it
// (mount-program). --all: builds it for every platform, and puts none there. --test: plays its Go tests, and those of what it changes
// in its libraries.
import path from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { builtProgram, goEnvironment, placeProgram } from "./mount/build.ts";
import { goProgram } from "./mount/compiler.ts";
import { run } from "./mount/run.ts";
import { goSource } from "./mount/source.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: { test: { type: "boolean", default: false }, all: { type: "boolean", default: false } },
});

if (values.test) {
  const go = await goProgram(root);
  const env = goEnvironment();
  const { own, libraries } = await goSource(root, go, env);
  await run(go, ["vet", "./fs/..."], { cwd: own, env });
  process.stdout.write(await run(go, ["test", "-timeout=5h", "./fs/..."], { cwd: own, env }));
  for (const { folder, packages } of libraries.filter((library) => library.packages.length > 0))
    process.stdout.write(await run(go, ["test", "-vet=off", ...packages], { cwd: folder, env }));
} else if (values.all) {
  for (const platform of PLATFORMS) {
    const { program } = await builtProgram(root, platform);
    process.stdout.write(`${platform.name}: ${path.relative(process.cwd(), program)}\n`);
  }
} else {
  const name = `${process.platform}-${process.arch}`;
  const platform = PLATFORMS.find((one) => one.name === name);
  if (platform === undefined) throw new Error(`mountaineer-fs is not built for ${name}`);
  const { program } = await builtProgram(root, platform);
  const place = path.join(root, "mount-program");
  await placeProgram(place, program);
  process.stdout.write(`mountaineer-fs is built: ${path.relative(process.cwd(), place)}/mountaineer-fs\n`);
}
