/** Knows which elements are in sight, or nearly: what nobody sees need not be drawn. */

const MARGIN = "300px";

export class Sight {
  #near = new WeakSet();
  #observer;

  /** @param {() => void} changed is called when something has come into sight */
  constructor(changed) {
    this.#observer = new IntersectionObserver((seen) => this.#see(seen, changed), { rootMargin: MARGIN });
  }

  /** Watch an element from now on. */
  watch(node) {
    this.#observer.observe(node);
  }

  /** Return whether an element is in sight. */
  has(node) {
    return this.#near.has(node);
  }

  #see(seen, changed) {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) this.#near.add(target);
      else this.#near.delete(target);
    }
    if (seen.some((one) => one.isIntersecting)) changed();
  }
}
