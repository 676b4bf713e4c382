<?xml version="1.0" encoding="UTF-8"?>
<!-- What a reader of a page sees, with signs for its structure, which html_text.py makes lines of: U+FDD0 ends a
     paragraph, U+FDD1 a line, U+FDD2 a cell, U+FDD4 is a break; U+FDD3 is a space that stays. Unicode has them for such use, and no text. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>

  <xsl:template match="hidden|head|script|style|noscript|template|svg|math|select|textarea|button|iframe|object"/>
  <xsl:template match="hidden|script|style|noscript|template|svg|math|select|textarea|button|iframe|object" mode="cell"/>

  <xsl:template match="p|h1|h2|h3|h4|h5|h6|table|ul|ol|dl|blockquote|pre">
    <xsl:text>&#xFDD0;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD0;</xsl:text>
  </xsl:template>
  <xsl:template match="div|center|tr|caption|dt|dd|section|article|header|footer|main|nav|aside|address|form|fieldset|legend|figure|figcaption|details|summary|title|body">
    <xsl:text>&#xFDD1;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text>
  </xsl:template>
  <xsl:template match="br"><xsl:text>&#xFDD4;</xsl:text></xsl:template>
  <xsl:template match="hr"><xsl:text>&#xFDD1;</xsl:text></xsl:template>
  <xsl:template match="li"><xsl:text>&#xFDD1;- </xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text></xsl:template>

  <!-- A cell is one line, unless it is the only one of its row or holds a table: then it lays out the page. -->
  <xsl:template match="td|th">
    <xsl:choose>
      <xsl:when test="(preceding-sibling::td or preceding-sibling::th or following-sibling::td or following-sibling::th) and not(.//table)">
        <xsl:apply-templates mode="cell"/>
      </xsl:when>
      <xsl:otherwise><xsl:apply-templates/></xsl:otherwise>
    </xsl:choose>
    <xsl:text>&#xFDD2;</xsl:text>
  </xsl:template>
  <xsl:template match="p|div|br|li|h1|h2|h3|h4|h5|h6|center|ul|ol|dl|dt|dd" mode="cell">
    <xsl:text> </xsl:text><xsl:apply-templates mode="cell"/><xsl:text> </xsl:text>
  </xsl:template>

  <!-- Ten to the fifth is no 105, nor the first note of 1,234 a 1,2341. -->
  <xsl:template match="sup[number(.) = number(.)]"><xsl:text>^</xsl:text><xsl:value-of select="normalize-space(.)"/></xsl:template>
  <xsl:template match="sup[number(.) = number(.)]" mode="cell"><xsl:text>^</xsl:text><xsl:value-of select="normalize-space(.)"/></xsl:template>

  <xsl:template match="pre//text()"><xsl:value-of select="translate(., '&#10; ', '&#xFDD4;&#xFDD3;')"/></xsl:template>
</xsl:stylesheet>
