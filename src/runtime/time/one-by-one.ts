// Work that runs one piece after the other.

/** The returned function runs pieces of work in the order of its calls. A failure does not stop the next. */
export function oneByOne() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}
