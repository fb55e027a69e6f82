/** Whether this process was started to serve a model: then it must not start others in its turn. */
let marked = false;

/** This process is one that serves for another. */
export function markChild(): void {
  marked = true;
}

export function isChild(): boolean {
  return marked;
}
