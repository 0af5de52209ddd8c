// Writes a file durably, and is killed before the point it is told: argv is the file, its content and the point. Says each
// point that it passes in a line; without one to stop at, that is all of them.
import { writeSync } from "node:fs";
import files, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { writeDurably } from "../../../../src/runtime/files/durable-file.ts";

const [path = "", content = "", stopAt = ""] = process.argv.slice(2);

function pass(point: string): void {
  if (point === stopAt) process.kill(process.pid, "SIGKILL");
  writeSync(1, `${point}\n`);
}

function watched(handle: FileHandle, what: string): FileHandle {
  const { writeFile, chmod, sync, close } = handle;
  return Object.assign(handle, {
    async writeFile(data: string) {
      pass(`write ${what}`);
      // Half of it is there in the middle of a write.
      await handle.write(data.slice(0, data.length / 2));
      pass(`go on with ${what}`);
      await writeFile.call(handle, data.slice(data.length / 2));
    },
    chmod(mode: number) {
      pass(`chmod ${what}`);
      return chmod.call(handle, mode);
    },
    sync() {
      pass(`sync ${what}`);
      return sync.call(handle);
    },
    close() {
      pass(`close ${what}`);
      return close.call(handle);
    },
  });
}

const { open, rename } = files;
files.open = async (name, flags, mode) => {
  const what = flags === "wx" ? "temporary" : "folder";
  pass(`open ${what}`);
  return watched(await open(name, flags, mode), what);
};
files.rename = (from, to) => {
  pass("rename");
  return rename(from, to);
};
syncBuiltinESMExports();
await writeDurably(path, content);
