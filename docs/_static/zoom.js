// A click on a picture that is shown smaller than it is shows it at its own size.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "zoom";
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest(".sphx-glr-thumbcontainer") || image.closest("a.reference:not(.image-reference)")) continue;
    image.classList.add("zoomable");
    image.addEventListener("click", (event) => {
      event.preventDefault();
      const large = new Image();
      large.src = image.src;
      large.alt = image.alt;
      dialog.replaceChildren(large);
      dialog.showModal();
    });
  }
});
