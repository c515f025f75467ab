// A notebook imports first and draws then. On the page a chapter begins with its first picture: what the cells tagged
// `setup` hold, most of them folded, stands below the picture and its caption.
document.addEventListener("DOMContentLoaded", () => {
  const cells = [...document.querySelectorAll(".bd-article div.cell")];
  const first = cells.findIndex((cell) => cell.querySelector(".cell_output img"));
  if (first < 0) return;
  let end = cells[first];
  while (end.nextElementSibling?.matches("p.cell-caption")) end = end.nextElementSibling;
  end.after(...cells.slice(0, first).filter((cell) => cell.matches(".tag_setup")));
});
