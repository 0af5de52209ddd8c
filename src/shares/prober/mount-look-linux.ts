// Looks at a mount by an uncached readdir of its root, because stat and statfs still answer on a dead mount.
import { type Dir, opendir, readdir } from "node:fs";

/** Calls back with null when the mount answers and may be listed, else with the errno's name. May never call back. */
export type LookAtMount = (path: string, done: (errno: string | null) => void) => void;

/** The kernel returns at least so many entries at once, so the first question reads a smaller folder whole. */
const FEW = 256;
/** At most so many roots are remembered. */
const ROOTS_AT_MOST = 10_000;

/** A look at a root with few entries takes one turn of a thread; any other takes three, and only begins to read. */
function createMountLookLinux(): LookAtMount {
  /** Roots by whether they held few entries when last read. */
  const holdsFew = new Map<string, boolean>();

  const readWhole: LookAtMount = (path, done) => {
    readdir(path, (error, names) => {
      if (error === null) holdsFew.set(path, names.length < FEW);
      else holdsFew.delete(path);
      done(error === null ? null : nameOf(error));
    });
  };
  const readSome: LookAtMount = (path, done) => {
    const isKnown = holdsFew.has(path);
    // One entry is enough: a folder of 100,000 is not read through.
    opendir(path, { bufferSize: isKnown ? 1 : FEW }, (openError, folder) => {
      if (openError !== null) {
        done(nameOf(openError));
        return;
      }
      countEntries(folder, isKnown ? 1 : FEW, (readError, count) =>
        folder.close(() => {
          if (readError === null && !isKnown && holdsFew.size < ROOTS_AT_MOST)
            holdsFew.set(path, count < FEW);
          done(readError === null ? null : nameOf(readError));
        }),
      );
    });
  };
  return (path, done) => (holdsFew.get(path) === true ? readWhole : readSome)(path, done);
}

export const lookAtMountLinux: LookAtMount = createMountLookLinux();

function countEntries(
  folder: Dir,
  atMost: number,
  done: (error: NodeJS.ErrnoException | null, count: number) => void,
): void {
  const next = (count: number): void =>
    folder.read((error, entry) => {
      if (error !== null || entry === null || count + 1 >= atMost)
        done(error, entry === null ? count : count + 1);
      else next(count + 1);
    });
  next(0);
}

function nameOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}
